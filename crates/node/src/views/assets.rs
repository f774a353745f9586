//! Assets and lineage.

use posthuman_assets::{AssetFacts, Ddo, ModelFacts, Origin};
use posthuman_chain::FixedRate;
use posthuman_store::AssetRow;
use posthuman_types::api::{Asset, AssetPage, AssetQuery, BirthMint, Lineage, LineageStep, Price};
use posthuman_types::{Amount, Did};

use crate::error::{ErrorCode, NodeError, OrFault};
use crate::node::Node;
use crate::views::of_page;

impl Node {
    /// A page of assets.
    pub(crate) async fn assets(&self, query: &AssetQuery) -> Result<AssetPage, NodeError> {
        let page = self.store.read().await?.search_assets(query).await;
        let page = page.map_err(of_page)?;
        let mut assets = Vec::with_capacity(page.rows.len());
        for row in page.rows {
            assets.push(self.asset_view(row).await?);
        }
        Ok(AssetPage {
            total: page.total,
            assets,
        })
    }

    /// One asset.
    pub(crate) async fn asset(&self, did: &Did) -> Result<Asset, NodeError> {
        let row = self.known_asset(did).await?;
        self.asset_view(row).await
    }

    /// An asset's DDO.
    pub(crate) async fn ddo(&self, did: &Did) -> Result<serde_json::Value, NodeError> {
        let row = self.known_asset(did).await?;
        serde_json::from_str(&row.ddo).or_fault("reading an indexed DDO")
    }

    /// The line of a model up to its root, and its children.
    pub(crate) async fn lineage(&self, did: &Did) -> Result<Lineage, NodeError> {
        self.known_asset(did).await?;
        let mut reader = self.store.read().await?;
        let line = reader.lineage(did).await?;
        let children = reader.children(did).await?;
        drop(reader);
        let steps = |rows: Vec<AssetRow>| {
            rows.into_iter()
                .map(|row| self.step(row))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Lineage {
            line: steps(line)?,
            children: steps(children)?,
        })
    }

    pub(crate) async fn known_asset(&self, did: &Did) -> Result<AssetRow, NodeError> {
        let row = self.store.read().await?.asset(did).await?;
        row.ok_or_else(|| {
            NodeError::rejected(
                ErrorCode::AssetNotFound,
                format!("This node knows no asset {did}; search for the one you mean."),
            )
        })
    }

    /// The facts of a model of this node.
    pub(crate) fn model_facts(&self, row: &AssetRow) -> Result<Option<ModelFacts>, NodeError> {
        if row.commitment_root.is_none() {
            return Ok(None);
        }
        let ddo = Ddo::parse(row.ddo.as_bytes()).or_fault("reading an indexed DDO")?;
        match ddo.facts().or_fault("reading the facts of an indexed DDO")? {
            Some(AssetFacts::Model(facts)) => Ok(Some(*facts)),
            _ => Ok(None),
        }
    }

    fn step(&self, row: AssetRow) -> Result<LineageStep, NodeError> {
        let facts = self.model_facts(&row)?;
        let lineage = facts.as_ref().map(|facts| &facts.lineage);
        let (job, receipt) = match lineage.map(|lineage| &lineage.origin) {
            Some(Origin::Trained { job, receipt }) => (Some(*job), Some(*receipt)),
            _ => (None, None),
        };
        Ok(LineageStep {
            generation: lineage.map_or(0, |lineage| lineage.generation),
            trainer: row.trainer,
            parent_share_bps: facts.as_ref().map(|facts| facts.parent_share_bps),
            commitment: facts.map(|facts| facts.commitment),
            did: row.did,
            name: row.name,
            nft: row.nft,
            job,
            receipt,
        })
    }

    async fn asset_view(&self, row: AssetRow) -> Result<Asset, NodeError> {
        let ddo = Ddo::parse(row.ddo.as_bytes()).or_fault("reading an indexed DDO")?;
        let prices = self.prices(&row).await?;
        let mut asset = Asset {
            did: row.did,
            kind: row.kind,
            name: row.name,
            description: row.description,
            author: row.author,
            license: ddo.metadata.license.clone(),
            nft: row.nft,
            datatoken: row.datatoken,
            state: u8::try_from(row.state).unwrap_or(u8::MAX),
            architecture: None,
            commitment: None,
            tokenizer: None,
            engine: None,
            allowances: None,
            trainer: row.trainer,
            parent_share_bps: None,
            parent: row.parent,
            generation: None,
            job: None,
            receipt: None,
            publication: None,
            initial_supply: Vec::new(),
            collector: None,
            prices,
            created_at: row.created_at,
            transaction: row.transaction_hash,
        };
        let ours = row.kind != posthuman_types::api::AssetKind::Foreign;
        match ddo.facts().ok().flatten().filter(|_| ours) {
            Some(AssetFacts::Model(facts)) => add_model(&mut asset, *facts),
            Some(AssetFacts::Blank(facts)) => asset.allowances = Some(facts.allowances),
            _ => {}
        }
        Ok(asset)
    }

    /// Both exchanges on which a datatoken can be sold for the base token, as the chain has them now.
    async fn prices(&self, row: &AssetRow) -> Result<Vec<Price>, NodeError> {
        let base_token = self.chain.address_book().ocean;
        let id = FixedRate::exchange_id(base_token, row.datatoken);
        let mut prices = Vec::new();
        let contracts = [
            (Some(self.chain.fixed_rate()), false),
            (self.chain.resale().ok(), true),
        ];
        for (contract, resale) in contracts
            .into_iter()
            .filter_map(|(contract, resale)| Some((contract?, resale)))
        {
            if let Some(exchange) = contract.exchange(id).await? {
                prices.push(Price {
                    contract: contract.address(),
                    exchange: id,
                    owner: exchange.owner,
                    base_token,
                    price: Amount(exchange.rate),
                    available: Amount(exchange.datatoken_supply),
                    resale,
                    active: exchange.active,
                });
            }
        }
        Ok(prices)
    }
}

fn add_model(asset: &mut Asset, facts: ModelFacts) {
    asset.architecture = Some(facts.architecture);
    asset.engine = Some(facts.engine);
    asset.commitment = Some(facts.commitment);
    asset.tokenizer = Some(facts.tokenizer);
    asset.allowances = Some(facts.allowances);
    asset.parent_share_bps = Some(facts.parent_share_bps);
    asset.generation = Some(facts.lineage.generation);
    asset.collector = Some(facts.collector);
    asset.initial_supply = facts
        .initial_supply
        .into_iter()
        .map(|(address, amount)| BirthMint { address, amount })
        .collect();
    match facts.lineage.origin {
        Origin::Trained { job, receipt } => (asset.job, asset.receipt) = (Some(job), Some(receipt)),
        Origin::Imported { publication } => asset.publication = Some(publication),
    }
}
