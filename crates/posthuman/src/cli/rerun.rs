//! `posthuman verify --rerun`.

use std::path::PathBuf;

use posthuman_types::SignedReceipt;

use super::context::Context;
use super::keys;
use super::output::note;
use crate::verify::Verification;
use crate::verify::rerun::{RerunOptions, rerun};

/// Running the job again.
#[derive(Debug, clap::Args)]
pub(crate) struct RerunArgs {
    /// Run the job again at 1, 2 and 3 threads on the node's data folder, and compare.
    /// The keys are DIR/keys/vault.json and DIR/keys/vault.password unless --master-key names them.
    #[arg(long, value_name = "DIR")]
    rerun: Option<PathBuf>,
}

impl RerunArgs {
    pub(crate) async fn run(
        &self,
        context: &Context,
        receipt: &SignedReceipt,
        verification: &mut Verification,
    ) -> anyhow::Result<()> {
        let Some(data) = &self.rerun else { return Ok(()) };
        let folder = data.join("keys");
        let path = |setting: &str, default: &str| {
            context
                .settings
                .path(setting)
                .unwrap_or_else(|| folder.join(default))
        };
        let options = RerunOptions {
            data: data.clone(),
            master_key: keys::open_master_key(
                path("master-key", "vault.json"),
                path("master-key-password-file", "vault.password"),
            )
            .await?,
            executable: std::env::current_exe()?,
            sandbox: !context.settings.switch("unsafe-no-sandbox")?,
            threads: vec![1, 2, 3],
        };
        note("running the job again at 1, 2 and 3 threads");
        let receipt = receipt.receipt.clone();
        verification
            .checks
            .extend(tokio::task::spawn_blocking(move || rerun(&receipt, &options)).await??);
        Ok(())
    }
}
