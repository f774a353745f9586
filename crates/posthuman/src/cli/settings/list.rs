//! The list itself.

use super::Scope::{Data, Devnet, Everywhere, Node, Worker};
use super::{Scope, Setting};

/// All settings, in the order in which help and documentation show them.
pub(crate) const SETTINGS: &[Setting] = &[
    setting(Everywhere, "config", "FILE", "posthuman.toml", "File of settings. Its keys are the names of this list with underscores."),
    setting(Everywhere, "rpc", "URL", "http://127.0.0.1:8545", "JSON-RPC endpoint of the chain."),
    setting(Everywhere, "node", "URL", "http://127.0.0.1:8001", "The market node."),
    setting(Everywhere, "address-file", "FILE", "", "Ocean's address.json. Without it the node is asked for the addresses."),
    setting(
        Everywhere,
        "wallet",
        "FILE",
        "",
        "Keystore file of your wallet, `env:VARIABLE` for a private key in the environment, or on a devnet one of the \
         names deployer, node, alice, bob, charlie, derek, elena.",
    ),
    setting(Everywhere, "password-file", "FILE", "", "File with the password of the wallet's keystore."),
    setting(Everywhere, "password-fd", "N", "", "Open file descriptor from which the password is read."),
    setting(Everywhere, "patience", "SECONDS", "30", "How long a node that does not answer is waited for."),
    setting(Data, "data", "DIR", "posthuman-data", "Folder of the database, the vault, the jobs and, under `dev`, the keys and the chain."),
    setting(Worker, "unsafe-no-sandbox", "", "", "Run workers although the kernel cannot confine them. Only where every user is trusted."),
    setting(Node, "host", "ADDRESS", "127.0.0.1", "Address on which HTTP is served."),
    setting(Node, "port", "PORT", "8001", "Port on which HTTP is served; 0 takes a free one."),
    setting(Node, "public-url", "URL", "", "Address under which users reach the node, for DDOs. Without it the one it listens on."),
    setting(Node, "chain-id", "NUMBER", "8996", "Chain id that the endpoint must have."),
    setting(Node, "receipt-signer", "FILE", "", "Keystore file of the key that signs receipts. Apart from the wallet."),
    setting(Node, "receipt-signer-password-file", "FILE", "", "File with the password of the receipt signer's keystore."),
    setting(Worker, "master-key", "FILE", "", "Keystore file of the key that wraps the vault's keys. Apart from the wallet and the receipt signer."),
    setting(Worker, "master-key-password-file", "FILE", "", "File with the password of the master key's keystore."),
    setting(Node, "threads", "NUMBER", "2", "Threads of one worker. Does not change any result."),
    setting(Node, "workers", "NUMBER", "1", "Workers at the same time."),
    setting(Node, "memory-bytes", "BYTES", "17179869184", "Largest address space of a worker."),
    setting(Node, "checkpoint-every", "STEPS", "200", "Training steps between two sealed checkpoints; 0 makes none."),
    setting(Node, "fee-train", "TOKENS", "0.001", "Fee per 1,000 tokens trained, in whole base tokens."),
    setting(Node, "fee-infer", "TOKENS", "0.002", "Fee per 1,000 tokens of prompt and answer, in whole base tokens."),
    setting(Node, "fee-evaluate", "TOKENS", "0.001", "Fee per 1,000 tokens scored, in whole base tokens."),
    setting(Node, "allowance-train", "TOKENS", "2000000", "Tokens that one order of a training allows."),
    setting(Node, "allowance-infer", "TOKENS", "20000", "Tokens of prompts and answers that one session allows."),
    setting(Node, "allowance-evaluate", "TOKENS", "500000", "Tokens that one order of an evaluation allows."),
    setting(Node, "birth-supply", "DATATOKENS", "100", "Whole datatokens minted at the birth of a model."),
    setting(Node, "blank-price", "TOKENS", "1", "Price of one datatoken of the blank model, in whole base tokens."),
    setting(Node, "session-seconds", "SECONDS", "900", "Seconds after its last turn when an inference session is closed and settled."),
    setting(Devnet, "rpc-port", "PORT", "8545", "Port of the devnet; 0 takes a free one."),
    setting(Devnet, "contracts", "DIR", "", "Folder of the installed contract artifacts, anvil and texts (`make contracts`). Without it the `contracts` of the repository around the current folder."),
];

const fn setting(
    scope: Scope,
    name: &'static str,
    value: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { name, value, default, doc, scope }
}
