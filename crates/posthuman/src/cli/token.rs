//! `posthuman token`: any ERC-20 token.

use clap::Subcommand;
use posthuman_chain::{Call, Chain};
use posthuman_types::{Address, Amount, B256, Did, U256};
use serde::Serialize;

use super::Wrong;
use super::context::{self, Context};
use super::output::{Report, facts};
use crate::market::check_contracts;

/// Any ERC-20 token: OCEAN, a datatoken, or an address.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What an address has.
    #[command(
        after_help = "Examples:\n  posthuman token balance --wallet bob\n  posthuman token balance DID --of alice"
    )]
    Balance {
        /// `ocean`, `ether`, a DID for its datatoken, or the address of a token.
        #[arg(default_value = "ocean")]
        token: String,
        /// Whose: an address or the name of a devnet wallet; your wallet's unless given.
        #[arg(long)]
        of: Option<String>,
    },
    /// Send tokens.
    #[command(after_help = "Example:\n  posthuman token transfer DID alice 2 --wallet bob")]
    Transfer {
        /// `ocean`, `ether`, a DID for its datatoken, or the address of a token.
        token: String,
        /// To whom.
        to: String,
        /// How many whole tokens.
        amount: String,
    },
    /// Let a spender take exactly so many, instead of what it was allowed before. 0 takes it back.
    #[command(
        after_help = "Example:\n  posthuman token approve ocean 0x5FbDB2315678afecb367f032d93F642f64180aa3 0 --wallet bob"
    )]
    Approve {
        /// `ocean`, a DID for its datatoken, or the address of a token.
        token: String,
        /// Who may take them.
        spender: String,
        /// How many whole tokens.
        amount: String,
    },
    /// What a spender may take.
    #[command(after_help = "Example:\n  posthuman token allowance ocean alice bob")]
    Allowance {
        /// `ocean`, a DID for its datatoken, or the address of a token.
        token: String,
        /// Whose tokens.
        owner: String,
        /// Who may take them.
        spender: String,
    },
    /// Move tokens of another who allowed it.
    #[command(after_help = "Example:\n  posthuman token transfer-from ocean alice charlie 1 --wallet bob")]
    TransferFrom {
        /// `ocean`, a DID for its datatoken, or the address of a token.
        token: String,
        /// Whose tokens.
        from: String,
        /// To whom.
        to: String,
        /// How many whole tokens.
        amount: String,
    },
    /// Make new datatokens. For minters; models trained here have none.
    #[command(
        after_help = "Example:\n  posthuman token mint 0x5FbDB2315678afecb367f032d93F642f64180aa3 bob 1 --wallet alice"
    )]
    Mint {
        /// A DID for its datatoken, or the address of a datatoken.
        token: String,
        /// To whom.
        to: String,
        /// How many whole tokens.
        amount: String,
    },
    /// Name, symbol, decimals and supply.
    #[command(after_help = "Example:\n  posthuman token info ocean")]
    Info {
        /// `ocean`, a DID for its datatoken, or the address of a token.
        #[arg(default_value = "ocean")]
        token: String,
    },
}

#[derive(Serialize)]
struct Info {
    address: Address,
    name: String,
    symbol: String,
    decimals: u8,
    total_supply: Amount,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        let chain = context.chain().await?;
        let person = |text: &str| context::address(text, chain.id());
        match self.command {
            Command::Balance { token, of } => balance(context, &chain, &token, of.as_deref()).await,
            Command::Info { token } => info(context, &chain, &token).await,
            Command::Allowance {
                token,
                owner,
                spender,
            } => {
                let address = resolve(context, &chain, &token).await?;
                let token = chain.token(address);
                let (owner, spender) = (person(&owner)?, person(&spender)?);
                let allowance = token.allowance(owner, spender).await?;
                amount_report(Amount(allowance), token.decimals().await?, address)
            }
            Command::Transfer { token, to, amount } if token == "ether" => {
                let wei = context::tokens(&amount).map_err(Wrong)?;
                send(context, &chain, Call::pay(person(&to)?, wei.0)).await
            }
            Command::Transfer { token, to, amount } => {
                let to = person(&to)?;
                let (token, amount) = token_and_amount(context, &chain, &token, &amount).await?;
                let label = format!("sending {} to {to}", token.amount(amount).await?);
                send(context, &chain, token.transfer(to, amount).with_label(label)).await
            }
            Command::Approve {
                token,
                spender,
                amount,
            } => {
                let spender = person(&spender)?;
                let (token, amount) = token_and_amount(context, &chain, &token, &amount).await?;
                let label = format!("approving {} for {spender}", token.amount(amount).await?);
                send(context, &chain, token.approve(spender, amount)?.with_label(label)).await
            }
            Command::TransferFrom {
                token,
                from,
                to,
                amount,
            } => {
                let (from, to) = (person(&from)?, person(&to)?);
                let (token, amount) = token_and_amount(context, &chain, &token, &amount).await?;
                let label = format!("moving {} from {from} to {to}", token.amount(amount).await?);
                let call = token.transfer_from(from, to, amount).with_label(label);
                send(context, &chain, call).await
            }
            Command::Mint { token, to, amount } => {
                let to = person(&to)?;
                let (token, amount) = token_and_amount(context, &chain, &token, &amount).await?;
                let label = format!("minting {} for {to}", token.amount(amount).await?);
                let call = chain.datatoken(token.address()).mint(to, amount);
                send(context, &chain, call.with_label(label)).await
            }
        }
    }
}

async fn balance(context: &Context, chain: &Chain, token: &str, of: Option<&str>) -> anyhow::Result<Report> {
    let of = match of {
        Some(of) => context::address(of, chain.id())?,
        None => context.wallet(chain.id()).await?.address(),
    };
    if token == "ether" {
        return amount_report(Amount(chain.balance(of).await?), context::DECIMALS, Address::ZERO);
    }
    let address = resolve(context, chain, token).await?;
    let token = chain.token(address);
    amount_report(
        Amount(token.balance_of(of).await?),
        token.decimals().await?,
        address,
    )
}

async fn info(context: &Context, chain: &Chain, token: &str) -> anyhow::Result<Report> {
    let token = chain.token(resolve(context, chain, token).await?);
    let info = Info {
        address: token.address(),
        name: token.name().await?,
        symbol: token.symbol().await?,
        decimals: token.decimals().await?,
        total_supply: Amount(token.total_supply().await?),
    };
    let text = facts(&[
        ("address", info.address.to_string()),
        ("name", info.name.clone()),
        ("symbol", info.symbol.clone()),
        ("decimals", info.decimals.to_string()),
        ("supply", info.total_supply.display_tokens(info.decimals)),
    ]);
    Report::new(text, &info)
}

fn amount_report(amount: Amount, decimals: u8, token: Address) -> anyhow::Result<Report> {
    let whole = amount.display_tokens(decimals);
    Report::new(
        whole.clone(),
        &serde_json::json!({ "token": token, "amount": amount, "whole": whole }),
    )
}

async fn token_and_amount(
    context: &Context,
    chain: &Chain,
    token: &str,
    amount: &str,
) -> anyhow::Result<(posthuman_chain::Token, U256)> {
    let token = chain.token(resolve(context, chain, token).await?);
    let amount =
        Amount::parse_tokens(amount, token.decimals().await?).map_err(|error| Wrong(error.to_string()))?;
    Ok((token, amount.0))
}

async fn resolve(context: &Context, chain: &Chain, token: &str) -> anyhow::Result<Address> {
    if token == "ocean" {
        return Ok(chain.ocean().address());
    }
    if let Ok(did) = token.parse::<Did>() {
        let asset = context.node()?.asset(&did).await?;
        check_contracts(chain, &did, &asset).await?;
        return Ok(asset.datatoken);
    }
    let wrong = || {
        Wrong(format!(
            "`{token}` is no token: write ocean, a DID, or 0x and 40 hexadecimal digits"
        ))
    };
    Ok(token.parse().map_err(|_| wrong())?)
}

async fn send(context: &Context, chain: &Chain, call: Call) -> anyhow::Result<Report> {
    let wallet = context.wallet(chain.id()).await?;
    let label = call.label.clone();
    let transaction: B256 = chain.send(&wallet, call).await?.transaction;
    let text = facts(&[("done", label), ("transaction", transaction.to_string())]);
    Report::new(text, &serde_json::json!({ "transaction": transaction }))
}
