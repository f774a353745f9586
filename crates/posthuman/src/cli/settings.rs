//! Every setting, declared once: flags, environment, file and the page in the documentation come from this list.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Arg, ArgMatches, Command};

mod list;
mod page;

pub(crate) use list::SETTINGS;
pub(crate) use page::markdown;

/// Where the file of settings is looked for, unless said.
const FILE: &str = "posthuman.toml";

/// One setting.
pub(crate) struct Setting {
    /// Its name, which is also its flag without the dashes and, with underscores, its key in the file.
    pub name: &'static str,
    /// What the help shows in place of the value; empty for a switch, whose value in environment and file is `true`.
    pub value: &'static str,
    /// The default as text; empty where there is none.
    pub default: &'static str,
    /// What it does, in one or two sentences.
    pub doc: &'static str,
    /// Which commands take it.
    pub scope: Scope,
}

/// Which commands take a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every command.
    Everywhere,
    /// Commands that keep a data folder.
    Data,
    /// Commands that run workers.
    Worker,
    /// Commands that open the vault.
    Vault,
    /// Commands that start a node.
    Node,
    /// The command that starts a node on a chain that runs, with keys that exist.
    Chain,
    /// Commands that start a node or a devnet: both read Ocean's contracts.
    Contracts,
    /// Commands that start a devnet.
    Devnet,
}

impl Setting {
    /// The environment variable.
    pub(crate) fn variable(&self) -> String {
        format!("POSTHUMAN_{}", self.name.replace('-', "_").to_uppercase())
    }

    fn key(&self) -> String {
        self.name.replace('-', "_")
    }

    fn argument(&self) -> Arg {
        let default = if self.default.is_empty() {
            String::new()
        } else {
            format!(" [default: {}]", self.default)
        };
        let argument = Arg::new(self.name).long(self.name);
        let argument = if self.value.is_empty() {
            argument.action(clap::ArgAction::SetTrue)
        } else {
            argument.value_name(self.value)
        };
        argument
            .help(format!("{}{default} [env: {}]", self.doc, self.variable()))
            .help_heading(match self.scope {
                Scope::Everywhere => "Settings",
                Scope::Data
                | Scope::Worker
                | Scope::Vault
                | Scope::Node
                | Scope::Chain
                | Scope::Contracts => "Settings of the node",
                Scope::Devnet => "Settings of the devnet",
            })
    }
}

/// Adds the flags of the list to the commands that take them.
pub(crate) fn add_flags(mut command: Command) -> Command {
    for setting in SETTINGS
        .iter()
        .filter(|setting| setting.scope == Scope::Everywhere)
    {
        command = command.arg(setting.argument().global(true));
    }
    for (name, scopes) in [
        (
            "node",
            &[
                Scope::Data,
                Scope::Worker,
                Scope::Vault,
                Scope::Node,
                Scope::Chain,
                Scope::Contracts,
            ][..],
        ),
        ("devnet", &[Scope::Data, Scope::Contracts, Scope::Devnet]),
        (
            "dev",
            &[
                Scope::Data,
                Scope::Worker,
                Scope::Node,
                Scope::Contracts,
                Scope::Devnet,
            ],
        ),
        (
            "demo",
            &[Scope::Data, Scope::Worker, Scope::Contracts, Scope::Devnet],
        ),
        ("vault", &[Scope::Data, Scope::Vault]),
        ("verify", &[Scope::Worker, Scope::Vault]),
    ] {
        if command.find_subcommand(name).is_some() {
            let flags = SETTINGS
                .iter()
                .filter(|setting| scopes.contains(&setting.scope))
                .map(Setting::argument);
            command = command.mut_subcommand(name, |sub| with_flags(sub, flags.collect()));
        }
    }
    command
}

/// Flags stand behind the last word of a command.
fn with_flags(command: Command, flags: Vec<Arg>) -> Command {
    if command.has_subcommands() {
        return command.mut_subcommands(|sub| with_flags(sub, flags.clone()));
    }
    command.args(flags)
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingError {
    /// The file is not there or not readable.
    #[error("cannot read the settings in {}; check the path given by --config", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{} is not TOML; write lines such as rpc = \"http://127.0.0.1:8545\"", path.display())]
    Toml {
        path: PathBuf,
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The file has a key that nobody reads.
    #[error("{} sets `{key}`, which is no setting; `posthuman settings` lists them", path.display())]
    Unknown { path: PathBuf, key: String },
    /// A value of another kind.
    #[error("{place} is `{value}`, which does not do: {why}")]
    Value {
        place: String,
        value: String,
        why: String,
    },
    /// Nothing was given and there is no default.
    #[error("{what} is not known; give --{name}, set {variable} or write it into {FILE}")]
    Missing {
        what: &'static str,
        name: &'static str,
        variable: String,
    },
}

/// The settings as they apply: a flag before the environment before the file before the default.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    values: BTreeMap<&'static str, Found>,
}

#[derive(Clone, Debug)]
struct Found {
    text: String,
    source: Source,
    /// For people, such as `the environment variable POSTHUMAN_PORT`.
    place: String,
}

/// Where a setting was found; the greater wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    File,
    Environment,
    Flag,
}

impl Settings {
    /// Collects them from the flags of a command, the environment and the file.
    pub(crate) fn collect(
        flags: &ArgMatches,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingError> {
        let config = find_flag(flags, "config").or_else(|| environment("POSTHUMAN_CONFIG"));
        let file = read_file(config.as_deref())?;
        let mut values = BTreeMap::new();
        for setting in SETTINGS {
            let found = find_flag(flags, setting.name)
                .map(|text| Found {
                    text,
                    source: Source::Flag,
                    place: format!("--{}", setting.name),
                })
                .or_else(|| {
                    let variable = setting.variable();
                    let text = environment(&variable).filter(|text| !text.is_empty())?;
                    Some(Found {
                        text,
                        source: Source::Environment,
                        place: format!("the environment variable {variable}"),
                    })
                })
                .or_else(|| file.get(&setting.key()).cloned());
            if let Some(found) = found {
                values.insert(setting.name, found);
            }
        }
        Ok(Self { values })
    }

    /// The text of a setting, if it or its default is set.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let setting = declared(name);
        let default = Some(setting.default).filter(|text| !text.is_empty());
        self.values
            .get(setting.name)
            .map(|found| found.text.as_str())
            .or(default)
    }

    /// The text of a setting if someone set it, whatever its default.
    #[cfg(any(test, feature = "node"))]
    pub(crate) fn given(&self, name: &str) -> Option<&str> {
        self.values
            .get(declared(name).name)
            .map(|found| found.text.as_str())
    }

    /// Whether of two settings that say the same in two ways the first stands in a place that wins over the other's.
    pub(crate) fn beats(&self, one: &str, other: &str) -> bool {
        let source = |name| self.values.get(declared(name).name).map(|found| found.source);
        source(one) > source(other)
    }

    /// Whether a switch is on.
    #[cfg(any(test, feature = "node"))]
    pub(crate) fn switch(&self, name: &str) -> Result<bool, SettingError> {
        Ok(self.parse(name)?.unwrap_or(false))
    }

    /// A path, if set.
    pub(crate) fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// A value of another kind, if it or its default is set.
    pub(crate) fn parse<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, SettingError> {
        let setting = declared(name);
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|error: T::Err| SettingError::Value {
                place: self
                    .values
                    .get(setting.name)
                    .map_or_else(|| format!("--{name}"), |found| found.place.clone()),
                value: text.to_owned(),
                why: error.to_string(),
            })
    }

    /// A value that must be there.
    pub(crate) fn require<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
        what: &'static str,
    ) -> Result<T, SettingError> {
        let setting = declared(name);
        let missing = || SettingError::Missing {
            what,
            name: setting.name,
            variable: setting.variable(),
        };
        self.parse(name)?.ok_or_else(missing)
    }
}

fn declared(name: &str) -> &'static Setting {
    SETTINGS
        .iter()
        .find(|setting| setting.name == name)
        .expect("every setting that is read is declared")
}

/// A flag may belong to the command or to one of its subcommands.
fn find_flag(flags: &ArgMatches, name: &str) -> Option<String> {
    if let Ok(Some(text)) = flags.try_get_one::<String>(name) {
        return Some(text.clone());
    }
    if let Ok(Some(true)) = flags.try_get_one::<bool>(name) {
        return Some(true.to_string());
    }
    flags.subcommand().and_then(|(_, sub)| find_flag(sub, name))
}

fn read_file(path: Option<&str>) -> Result<BTreeMap<String, Found>, SettingError> {
    let named = path.is_some();
    let path = Path::new(path.unwrap_or(FILE)).to_owned();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => return Ok(BTreeMap::new()),
        Err(source) => return Err(SettingError::File { path, source }),
    };
    let table: toml::Table = text.parse().map_err(|source| SettingError::Toml {
        path: path.clone(),
        source: Box::new(source),
    })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if !SETTINGS.iter().any(|setting| setting.key() == key) {
            return Err(SettingError::Unknown { path, key });
        }
        let place = format!("`{key}` in {}", path.display());
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            other => {
                let why = "give a text, a number, true or false".to_owned();
                return Err(SettingError::Value {
                    place,
                    value: other.to_string(),
                    why,
                });
            }
        };
        let source = Source::File;
        values.insert(key, Found { text, source, place });
    }
    Ok(values)
}

#[cfg(test)]
mod tests;
