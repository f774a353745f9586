//! No 16 consecutive bytes of any tensor in anything that node and workers wrote or sent during the story.

use std::sync::OnceLock;

use e2e::answers::everything;
use e2e::files::files_under;
use e2e::leak::{Windows, of_models};
use e2e::market::Person;
use e2e::played::Played;
use posthuman_jobs::vault::{ObjectKind, Vault};
use posthuman_lm::Bundle;

use crate::story::{list, text};

/// A model of the story takes some megabytes.
const LARGEST_MODEL: u64 = 1 << 30;

/// While devnet and node are up: whatever the folder ever held, holds now, and the node answers.
pub(crate) fn nothing_leaked(played: &Played) {
    let windows = windows(played);
    let recording = &played.recording;
    assert!(
        recording.looks > 20,
        "the folder was looked at {} times only",
        recording.looks
    );
    let sealed = recording
        .pieces
        .iter()
        .filter(|piece| piece.path.starts_with(played.data().join("vault")))
        .count();
    assert!(
        sealed > 100,
        "the recorder saw {sealed} pieces of the vault: it looks elsewhere"
    );
    for piece in &recording.pieces {
        clean(
            windows,
            &piece.bytes,
            &format!(
                "{} from byte {} on, for a while",
                piece.path.display(),
                piece.offset
            ),
        );
    }
    clean(windows, played.said.to_string().as_bytes(), "stdout");
    search_folder(windows, played);
    let wallets = Person::ALL.map(Person::wallet);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answers = runtime
        .block_on(everything(text(&played.said, "/node/url"), &wallets))
        .unwrap();
    let streams = answers
        .iter()
        .filter(|answer| answer.path.ends_with("/events"))
        .count();
    assert!(
        streams >= list(&played.said["orders"]).len(),
        "only {streams} event streams were answered"
    );
    for answer in &answers {
        clean(windows, &answer.body, &answer.path);
    }
}

/// After devnet and node ended: what they left.
pub(crate) fn nothing_leaked_at_the_end(played: &Played) {
    search_folder(windows(played), played);
}

fn search_folder(windows: &Windows, played: &Played) {
    let files = files_under(played.folder());
    for needed in ["market.sqlite", "node.log", "devnet/state.json"] {
        assert!(
            files.contains(&played.data().join(needed)),
            "{needed} is not where it should be"
        );
    }
    for path in files {
        // A file in use may go between the listing and the reading.
        if let Ok(bytes) = std::fs::read(&path) {
            clean(windows, &bytes, &path.display().to_string());
        }
    }
}

pub(crate) fn clean(windows: &Windows, bytes: &[u8], place: &str) {
    if let Some(leak) = windows.find(bytes) {
        let encoding = if leak.encoding.is_empty() {
            "as they are"
        } else {
            &leak.encoding
        };
        panic!("weights in {place}: 16 bytes at {} ({encoding})", leak.offset);
    }
}

/// The windows of every tensor of every model in the vault, which must be the models of the story.
fn windows(played: &Played) -> &'static Windows {
    static WINDOWS: OnceLock<Windows> = OnceLock::new();
    WINDOWS.get_or_init(|| {
        let master = played.keys().master_key().unwrap();
        let vault = Vault::open_read_only(&played.data().join("vault"), master).unwrap();
        let models: Vec<_> = vault
            .list()
            .unwrap()
            .into_iter()
            .filter(|facts| facts.kind == ObjectKind::Model)
            .collect();
        let mut roots: Vec<String> = models
            .iter()
            .map(|facts| facts.commitment.as_ref().unwrap().root.to_string())
            .collect();
        let mut said: Vec<String> = list(&played.said["models"])
            .iter()
            .map(|model| text(model, "/commitment").to_owned())
            .collect();
        roots.sort();
        said.sort();
        assert_eq!(
            roots, said,
            "the vault holds other models than the story tells of"
        );
        let open = |object| Bundle::from_bytes(&vault.read(object, LARGEST_MODEL).unwrap()).unwrap();
        let bundles: Vec<Bundle> = models.iter().map(|facts| open(facts.object)).collect();
        of_models(&bundles).unwrap()
    })
}
