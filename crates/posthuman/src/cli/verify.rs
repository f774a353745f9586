//! `posthuman verify`.

use std::path::Path;

use posthuman_types::{Digest, JobId, Operation, SignedReceipt};

use super::context::{Context, read_file};
use super::output::{Report, note, table};
use super::{Unverified, Wrong};
use crate::verify::{File, Material, Verification, verify};

/// Check a receipt: digest, signature by the key that the chain names, the order, the weights, and the digest on the
/// chain with the consumer's signed request. Ends with exit code 4 if anything does not hold.
///
/// The receipt is a file (one receipt, or the list of a session), a digest, or a job whose receipt the node is asked for.
/// Give --address-file to take not even the contracts' addresses from the node.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  posthuman verify receipt.json
  posthuman verify 00000000000000000000000000000001
  posthuman verify receipt.json --input text=book.txt --input held_out=end.txt --output evaluation.json=evaluation.json
  posthuman --json verify receipt.json")]
pub(crate) struct Args {
    /// A file, a digest or a job id.
    receipt: String,
    /// An input of the job, as NAME=FILE; give all of them or none.
    #[arg(long, value_name = "NAME=FILE")]
    input: Vec<String>,
    /// An output of the job, as NAME=FILE; give all of them or none.
    #[arg(long, value_name = "NAME=FILE")]
    output: Vec<String>,
    #[cfg(feature = "node")]
    #[command(flatten)]
    rerun: super::rerun::RerunArgs,
}

impl Args {
    pub(crate) async fn run(self, context: &Context) -> anyhow::Result<Report> {
        let (receipt, session) = self.receipts(context).await?;
        let material = Material {
            inputs: files(&self.input)?,
            outputs: files(&self.output)?,
            session,
        };
        let chain = context.chain().await?;
        #[cfg_attr(
            not(feature = "node"),
            expect(unused_mut, reason = "only a re-run adds to it")
        )]
        let mut verification = verify(&chain, &receipt, &material).await?;
        #[cfg(feature = "node")]
        self.rerun.run(context, &receipt, &mut verification).await?;
        report(context, &verification)
    }

    /// The receipt, and the session it belongs to where one is at hand.
    async fn receipts(&self, context: &Context) -> anyhow::Result<(SignedReceipt, Vec<SignedReceipt>)> {
        let path = Path::new(&self.receipt);
        if path.exists() {
            return read_receipts(path);
        }
        let node = context.node()?;
        let receipt = if let Ok(digest) = self.receipt.parse::<Digest>() {
            node.receipt(digest).await?
        } else if let Ok(job) = self.receipt.parse::<JobId>() {
            node.receipt_of(job).await?
        } else {
            return Err(Wrong(format!("`{}` is no file, no digest and no job id", self.receipt)).into());
        };
        let session = match receipt.receipt.operation {
            Operation::Infer => node.receipts(&receipt.receipt.order).await?,
            Operation::Train | Operation::Evaluate => Vec::new(),
        };
        Ok((receipt, session))
    }
}

/// One receipt, or a list of which the last is meant and the others lead to it.
fn read_receipts(path: &Path) -> anyhow::Result<(SignedReceipt, Vec<SignedReceipt>)> {
    let bytes = read_file(path)?;
    let wrong = || {
        Wrong(format!(
            "{} holds no receipt; `posthuman jobs receipt JOB` writes one",
            path.display()
        ))
    };
    if let Ok(receipt) = serde_json::from_slice::<SignedReceipt>(&bytes) {
        return Ok((receipt, Vec::new()));
    }
    let session: Vec<SignedReceipt> = serde_json::from_slice(&bytes).map_err(|_| wrong())?;
    let last = session.last().cloned().ok_or_else(wrong)?;
    Ok((last, session))
}

fn files(arguments: &[String]) -> anyhow::Result<Option<Vec<File>>> {
    if arguments.is_empty() {
        return Ok(None);
    }
    let mut files = Vec::new();
    for argument in arguments {
        let (name, path) = argument
            .split_once('=')
            .ok_or_else(|| Wrong(format!("`{argument}` is not of the form NAME=FILE")))?;
        files.push(File {
            name: name.to_owned(),
            bytes: read_file(Path::new(path))?,
        });
    }
    Ok(Some(files))
}

fn report(context: &Context, verification: &Verification) -> anyhow::Result<Report> {
    let rows = verification.checks.iter().map(|check| {
        let sign = if check.ok { "ok" } else { "FAILED" };
        vec![sign.to_owned(), check.name.to_owned(), check.detail.clone()]
    });
    let mut text = table(&["", "check", "detail"], rows);
    for warning in &verification.warnings {
        text.push_str(&format!("\nWARNING: {warning}"));
    }
    text.push_str(if verification.holds() {
        "\n\nthe receipt holds"
    } else {
        "\n\nthe receipt does NOT hold"
    });
    let json = serde_json::json!({ "holds": verification.holds(), "verification": verification });
    let report = Report::new(text, &json)?;
    let Some(failure) = verification.failure() else {
        return Ok(report);
    };
    // The result is written first: who was refused wants to see everything that was checked.
    report.write(context.json)?;
    note("");
    Err(Unverified(format!("{}: {}", failure.name, failure.detail)).into())
}
