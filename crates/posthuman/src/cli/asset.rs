//! `posthuman asset`.

use clap::Subcommand;
use posthuman_types::api::{Asset, AssetKind, AssetQuery, LineageStep};
use posthuman_types::{Address, Amount, Did, EngineName, Precision};

use super::context::{Context, DECIMALS, address};
use super::describe;
use super::output::{Report, facts, table};

/// Assets of the market.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List assets, newest first.
    #[command(
        after_help = "Examples:\n  posthuman asset list\n  posthuman asset list --kind model --author alice --limit 5"
    )]
    List(List),
    /// Find assets by words in name, description, author and tags.
    #[command(after_help = "Example:\n  posthuman asset search whale")]
    Search {
        /// Words.
        #[arg(required = true)]
        words: Vec<String>,
        #[command(flatten)]
        list: List,
    },
    /// Show one asset.
    #[command(after_help = "Example:\n  posthuman asset show DID")]
    Show {
        /// The asset.
        did: Did,
    },
    /// Show the models that it descends from and those trained from it.
    #[command(after_help = "Example:\n  posthuman asset lineage DID")]
    Lineage {
        /// The asset.
        did: Did,
    },
    /// Show who is paid when it is used or resold.
    #[command(after_help = "Example:\n  posthuman asset royalties DID")]
    Royalties {
        /// The asset.
        did: Did,
    },
    /// Print its DDO as it stands on the chain.
    #[command(after_help = "Example:\n  posthuman asset ddo DID")]
    Ddo {
        /// The asset.
        did: Did,
    },
}

/// What to list.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct List {
    /// Only this kind: model, blank, operation or foreign.
    #[arg(long, value_parser = kind)]
    kind: Option<AssetKind>,
    /// Only models of this trainer: an address or the name of a devnet wallet.
    #[arg(long)]
    author: Option<String>,
    /// Only children of this model.
    #[arg(long)]
    parent: Option<Did>,
    /// At most so many.
    #[arg(long, default_value_t = 20)]
    limit: u64,
    /// Skip so many.
    #[arg(long, default_value_t = 0)]
    offset: u64,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        let node = context.node()?;
        match self.command {
            Command::List(list) => list.run(context, None).await,
            Command::Search { words, list } => list.run(context, Some(words.join(" "))).await,
            Command::Show { did } => show(&node.asset(&did).await?),
            Command::Lineage { did } => {
                let lineage = node.lineage(&did).await?;
                let mut text = table(&STEPS, lineage.line.iter().map(step));
                if !lineage.children.is_empty() {
                    text.push_str("\n\nchildren\n");
                    text.push_str(&table(&STEPS, lineage.children.iter().map(step)));
                }
                Report::new(text, &lineage)
            }
            Command::Royalties { did } => {
                let royalties = node.royalties(&did).await?;
                let mut text = facts(&[
                    ("collector", royalties.collector.to_string()),
                    (
                        "shares are final",
                        if royalties.final_shares { "yes" } else { "no" }.to_owned(),
                    ),
                ]);
                if royalties.collector_changed {
                    text.push_str("\nWARNING: the payment collector was changed since the model's birth");
                }
                text.push_str("\n\n");
                let payees = royalties.payees.iter();
                text.push_str(&table(
                    &["payee", "share"],
                    payees.map(|payee| vec![payee.address.to_string(), percent(payee.share_bps)]),
                ));
                let births = royalties.birth_mint.iter();
                text.push_str("\n\n");
                text.push_str(&table(
                    &["holder at birth", "datatokens"],
                    births.map(|birth| vec![birth.address.to_string(), whole(birth.amount)]),
                ));
                Report::new(text, &royalties)
            }
            Command::Ddo { did } => {
                let ddo = node.ddo(&did).await?;
                Report::new(serde_json::to_string_pretty(&ddo)?, &ddo)
            }
        }
    }
}

impl List {
    pub(crate) fn of_models() -> Self {
        Self {
            kind: Some(AssetKind::Model),
            author: None,
            parent: None,
            limit: 100,
            offset: 0,
        }
    }

    pub(crate) async fn run(self, context: &Context, words: Option<String>) -> anyhow::Result<Report> {
        let node = context.node()?;
        let author: Option<Address> = match &self.author {
            Some(author) => Some(address(author, node.info().await?.chain_id)?),
            None => None,
        };
        let query = AssetQuery {
            q: words,
            kind: self.kind,
            author,
            parent: self.parent,
            limit: Some(self.limit),
            offset: Some(self.offset),
        };
        let page = node.assets(&query).await?;
        let rows = page.assets.iter().map(|asset| {
            let price = asset
                .prices
                .iter()
                .filter(|price| price.active)
                .map(|price| price.price)
                .min();
            vec![
                asset.did.to_string(),
                kind_word(asset.kind).to_owned(),
                asset.name.clone(),
                asset.author.clone(),
                price.map_or_else(|| "-".to_owned(), whole),
            ]
        });
        let mut text = table(&["did", "kind", "name", "author", "price"], rows);
        if page.total > page.assets.len() as u64 {
            text.push_str(&format!("\n{} of {}", page.assets.len(), page.total));
        }
        Report::new(text, &page)
    }
}

/// One asset for people.
pub(crate) fn show(asset: &Asset) -> anyhow::Result<Report> {
    report(asset, lines(asset))
}

/// One model for people, with all that is known of it.
pub(crate) fn show_model(asset: &Asset) -> anyhow::Result<Report> {
    let mut lines = lines(asset);
    if let Some(shape) = &asset.architecture
        && let Some(details) = &shape.details
    {
        lines.extend(describe::details(shape, details));
    }
    report(asset, lines)
}

fn report(asset: &Asset, lines: Vec<(&'static str, String)>) -> anyhow::Result<Report> {
    let text = format!("{}\n\n{}", facts(&lines), asset.description);
    Report::new(text.trim_end(), asset)
}

/// The engine that made a model, and what that says of it.
fn engine(name: &str) -> String {
    match EngineName::read(name).precision() {
        Some(Precision::Bf16) => format!("{name}: trained in bf16"),
        _ => name.to_owned(),
    }
}

fn lines(asset: &Asset) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("did", asset.did.to_string()),
        ("kind", kind_word(asset.kind).to_owned()),
        ("name", asset.name.clone()),
        ("author", asset.author.clone()),
        ("licence", asset.license.clone()),
        ("data NFT", asset.nft.to_string()),
        ("datatoken", asset.datatoken.to_string()),
    ];
    if let Some(shape) = &asset.architecture {
        lines.push(("architecture", describe::shape(shape)));
    }
    if let Some(name) = &asset.engine {
        lines.push(("engine", engine(name)));
    }
    if let Some(commitment) = &asset.commitment {
        lines.push(("commitment", format!("{} {}", commitment.scheme, commitment.root)));
    }
    if let Some(allowances) = asset.allowances {
        let text = format!(
            "train {}, infer {}, evaluate {}",
            allowances.train, allowances.infer, allowances.evaluate
        );
        lines.push(("one order allows", text));
    }
    let optional = [
        ("trainer", asset.trainer.map(|trainer| trainer.to_string())),
        ("share of children", asset.parent_share_bps.map(percent)),
        ("parent", asset.parent.as_ref().map(Did::to_string)),
        (
            "generation",
            asset.generation.map(|generation| generation.to_string()),
        ),
        ("job", asset.job.map(|job| job.to_string())),
        ("receipt", asset.receipt.map(|receipt| receipt.to_string())),
        (
            "publication",
            asset.publication.map(|publication| publication.to_string()),
        ),
        (
            "collector",
            asset.collector.map(|collector| collector.to_string()),
        ),
    ];
    lines.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    for price in &asset.prices {
        let state = if price.active { "" } else { ", closed" };
        let kind = if price.resale { "resale by" } else { "sold by" };
        lines.push((
            "price",
            format!("{} {kind} {}{state}", whole(price.price), price.owner),
        ));
    }
    lines
}

const STEPS: [&str; 6] = ["generation", "name", "did", "trainer", "share", "commitment"];

fn step(step: &LineageStep) -> Vec<String> {
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    vec![
        step.generation.to_string(),
        step.name.clone(),
        step.did.to_string(),
        text(step.trainer.map(|trainer| trainer.to_string())),
        text(step.parent_share_bps.map(percent)),
        text(
            step.commitment
                .as_ref()
                .map(|commitment| commitment.root.to_string()),
        ),
    ]
}

/// Basis points as a percentage.
pub(crate) fn percent(bps: u16) -> String {
    format!("{}%", Amount(posthuman_types::U256::from(bps)).display_tokens(2))
}

/// Base units of an 18-decimal token as whole tokens.
pub(crate) fn whole(amount: Amount) -> String {
    amount.display_tokens(DECIMALS)
}

fn kind(text: &str) -> Result<AssetKind, String> {
    serde_json::from_value(text.into())
        .map_err(|_| format!("`{text}` is none of model, blank, operation, foreign"))
}

fn kind_word(kind: AssetKind) -> &'static str {
    match kind {
        AssetKind::Model => "model",
        AssetKind::Blank => "blank",
        AssetKind::Operation => "operation",
        AssetKind::Foreign => "foreign",
    }
}
