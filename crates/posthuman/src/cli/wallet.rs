//! `posthuman wallet`.

use std::path::PathBuf;

use clap::Subcommand;
use posthuman_chain::{Wallet, devnet};
use posthuman_types::{Address, Amount};
use serde::Serialize;

use super::asset::whole;
use super::context::{self, Context, tokens};
use super::output::{Report, facts, table};
use super::{Wrong, devnet_wallet};
use crate::MarketError;

/// Wallets. A key is read from a keystore file, a file or the environment, never from an argument.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a new key and keep it in a keystore file (Web3 Secret Storage, version 3).
    #[command(after_help = "Example:\n  posthuman wallet create bob.json --password-file bob.password")]
    Create {
        /// The file to write; it must not exist.
        file: PathBuf,
    },
    /// Put a key from the environment into a keystore file.
    #[command(
        after_help = "Example:\n  posthuman wallet import bob.json --from BOB_KEY --password-file bob.password"
    )]
    Import {
        /// The file to write; it must not exist.
        file: PathBuf,
        /// Environment variable that holds the private key in hexadecimal.
        #[arg(long, value_name = "VARIABLE", default_value = "POSTHUMAN_PRIVATE_KEY")]
        from: String,
    },
    /// Show your wallet's address and what it has.
    #[command(after_help = "Example:\n  posthuman wallet show --wallet bob")]
    Show,
    /// Give a wallet OCEAN and ether, on a devnet.
    #[command(
        after_help = "Examples:\n  posthuman wallet fund --wallet bob\n  posthuman wallet fund 0x5FbDB2315678afecb367f032d93F642f64180aa3 --ocean 500"
    )]
    Fund {
        /// Whom: an address or the name of a devnet wallet; your wallet unless given.
        who: Option<String>,
        /// Whole OCEAN.
        #[arg(long, default_value = "1000", value_parser = tokens)]
        ocean: Amount,
        /// Whole ether.
        #[arg(long, default_value = "10", value_parser = tokens)]
        ether: Amount,
    },
    /// List the keystore files of a folder, or the wallets of a devnet.
    #[command(after_help = "Examples:\n  posthuman wallet list\n  posthuman wallet list keys")]
    List {
        /// The folder; without it the wallets of a devnet.
        folder: Option<PathBuf>,
    },
}

#[derive(Serialize)]
struct Shown {
    address: Address,
    ocean: Amount,
    ether: Amount,
}

#[derive(Serialize)]
struct Listed {
    name: String,
    address: Address,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        match self.command {
            Command::Create { file } => keep(context, Wallet::random(), file).await,
            Command::Import { file, from } => keep(context, Wallet::from_environment(&from)?, file).await,
            Command::Show => {
                let chain = context.chain().await?;
                show(&chain, context.wallet(chain.id()).await?.address()).await
            }
            Command::Fund { who, ocean, ether } => {
                let chain = context.chain().await?;
                let who = match who {
                    Some(who) => context::address(&who, chain.id())?,
                    None => context.wallet(chain.id()).await?.address(),
                };
                devnet::fund(&chain, who, ocean.0, ether.0).await?;
                show(&chain, who).await
            }
            Command::List { folder } => list(folder),
        }
    }
}

async fn keep(context: &Context, wallet: Wallet, file: PathBuf) -> anyhow::Result<Report> {
    let password = context.password(&file)?;
    let address = wallet.address();
    let path = file.clone();
    tokio::task::spawn_blocking(move || wallet.save_keystore(&path, password)).await??;
    let text = facts(&[
        ("address", address.to_string()),
        ("keystore", file.display().to_string()),
    ]);
    Report::new(text, &serde_json::json!({ "address": address, "keystore": file }))
}

async fn show(chain: &posthuman_chain::Chain, address: Address) -> anyhow::Result<Report> {
    let shown = Shown {
        address,
        ocean: Amount(chain.ocean().balance_of(address).await?),
        ether: Amount(chain.balance(address).await?),
    };
    let text = facts(&[
        ("address", shown.address.to_string()),
        ("OCEAN", whole(shown.ocean)),
        ("ether", whole(shown.ether)),
    ]);
    Report::new(text, &shown)
}

fn list(folder: Option<PathBuf>) -> anyhow::Result<Report> {
    let listed = match folder {
        Some(folder) => keystores(&folder)?,
        None => devnet_wallet::NAMES
            .iter()
            .map(|(name, index)| Listed {
                name: (*name).to_owned(),
                address: devnet::account(*index).address(),
            })
            .collect(),
    };
    let rows = listed
        .iter()
        .map(|wallet| vec![wallet.name.clone(), wallet.address.to_string()]);
    Report::new(table(&["wallet", "address"], rows), &listed)
}

/// Keystores name their address in clear; files that are none are passed over.
fn keystores(folder: &PathBuf) -> anyhow::Result<Vec<Listed>> {
    let error = |source| MarketError::File {
        path: folder.clone(),
        source,
    };
    let mut listed = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        let Ok(text) = std::fs::read(&path) else { continue };
        let Ok(json) = serde_json::from_slice::<serde_json::Value>(&text) else {
            continue;
        };
        if json["version"] != 3 {
            continue;
        }
        let Some(address) = json["address"].as_str().and_then(|address| address.parse().ok()) else {
            continue;
        };
        listed.push(Listed {
            name: path.display().to_string(),
            address,
        });
    }
    if listed.is_empty() {
        let message = format!("{} holds no keystore that names its address", folder.display());
        return Err(Wrong(message).into());
    }
    listed.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(listed)
}
