//! The pages of Alice, Bob, Charlie, Derek and Elena, followed to the letter in one folder on a market of their own.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use e2e::files::{binary, contracts, repository, tail};
use e2e::pages::{Block, Page};
use e2e::process::{Process, posthuman_command};
use serde_json::Value;

const PAGES: [&str; 5] = ["alice", "bob", "charlie", "derek", "elena"];
/// Lines of an output that a failure shows.
const SHOWN: usize = 25;

#[test]
fn the_pages_of_all_personas_do_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let market = Dev::start(&folder.path().join("market"));
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    for name in PAGES {
        let page = Page::read(&repository().join(format!("docs/{name}.md"))).unwrap();
        assert!(
            !page.blocks.is_empty(),
            "{} has no block to run",
            page.path.display()
        );
        let outputs = folder.path().join(name);
        fs::create_dir(&outputs).unwrap();
        follow(&page, &market, &work, &outputs);
    }
}

/// A market that `posthuman dev` keeps in a folder; it is killed with this value, as a crash would do it.
struct Dev {
    _process: Process,
    data: PathBuf,
    rpc: String,
    node: String,
    address_file: String,
}

impl Dev {
    fn start(data: &Path) -> Self {
        let log = data.with_extension("log");
        let mut command = posthuman_command().unwrap();
        command
            .args(["--json", "dev", "--rpc-port", "0", "--port", "0", "--data"])
            .arg(data);
        let errors = File::create(&log).unwrap();
        let mut process = Process::spawn(command, Stdio::piped(), errors.into()).unwrap();
        let mut line = String::new();
        // It says one line when it serves, and nothing if it ends before.
        BufReader::new(process.child().stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let said: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("`posthuman dev` does not serve:\n{}", tail(&log, SHOWN)));
        let text = |pointer: &str| said.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        let (rpc, node, address_file) = (
            text("/devnet/rpc"),
            text("/node/url"),
            text("/devnet/address_file"),
        );
        Self {
            _process: process,
            data: data.to_owned(),
            rpc,
            node,
            address_file,
        }
    }
}

fn follow(page: &Page, market: &Dev, work: &Path, outputs: &Path) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::iter::once(binary().unwrap().parent().unwrap().to_owned()).chain(std::env::split_paths(&path));
    let status = Command::new("sh")
        .arg("-c")
        .arg(page.script(outputs))
        .current_dir(work)
        .env("PATH", std::env::join_paths(folders).unwrap())
        .env("TEXTS", contracts().join("node_modules/@stdlib"))
        .env("DATA", &market.data)
        .env("POSTHUMAN_RPC", &market.rpc)
        .env("POSTHUMAN_NODE", &market.node)
        .env("POSTHUMAN_ADDRESS_FILE", &market.address_file)
        .env_remove("POSTHUMAN_WALLET")
        .env_remove("POSTHUMAN_PASSWORD_FILE")
        .stdin(Stdio::null())
        .status()
        .unwrap();
    let ran = (0..page.blocks.len())
        .take_while(|index| outputs.join(format!("{index}.out")).exists())
        .count();
    // The last block that ran is the one that failed: what it wrote is told with its failure.
    let whole = if status.success() {
        ran
    } else {
        ran.saturating_sub(1)
    };
    for (index, block) in page.blocks.iter().enumerate().take(whole) {
        compare(page, index, block, outputs);
    }
    assert!(
        status.success(),
        "{status} in {}",
        failure(page, whole, market, outputs)
    );
    assert_eq!(
        ran,
        page.blocks.len(),
        "{}: not every block was run",
        page.path.display()
    );
}

fn compare(page: &Page, index: usize, block: &Block, outputs: &Path) {
    let output = fs::read_to_string(outputs.join(format!("{index}.out"))).unwrap();
    if let Some(missing) = block.missing(&output) {
        let errors = tail(&outputs.join(format!("{index}.err")), SHOWN);
        let place = format!("{}:{}", page.path.display(), block.line);
        panic!("{place}: the page says\n  {missing}\nand the commands wrote\n{output}\nstderr:\n{errors}");
    }
}

fn failure(page: &Page, index: usize, market: &Dev, outputs: &Path) -> String {
    let Some(block) = page.blocks.get(index) else {
        return page.path.display().to_string();
    };
    let part = |end: &str| tail(&outputs.join(format!("{index}.{end}")), SHOWN);
    format!(
        "{}:{}\n{}\nstdout:\n{}\nstderr:\n{}\nlog of the market:\n{}",
        page.path.display(),
        block.line,
        block.script,
        part("out"),
        part("err"),
        tail(&market.data.with_extension("log"), SHOWN)
    )
}
