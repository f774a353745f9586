//! Pages of the documentation as programs.
//!
//! A fence that opens with `sh` is a block to be run; `sh ignore-in-test` is one for people alone. A fence that opens
//! with `text` and follows a block shows what the block wrote to stdout and is compared with it, where `…` stands for
//! anything; `text sample` is an illustration, whose figures differ from run to run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// The word after `sh` that keeps a block from being run.
const FOR_PEOPLE: &str = "sh ignore-in-test";
/// Stands for anything within a documented line.
const ANYTHING: char = '…';

/// A page.
#[derive(Debug)]
pub struct Page {
    /// Where it is.
    pub path: PathBuf,
    /// Its blocks to run, in order.
    pub blocks: Vec<Block>,
}

/// One block of commands.
#[derive(Debug, Default)]
pub struct Block {
    /// The line of the page where it begins, counted from 1.
    pub line: usize,
    /// The commands.
    pub script: String,
    /// Lines that its stdout must hold, in this order.
    pub expected: Vec<String>,
}

impl Page {
    /// Reads a page.
    ///
    /// # Errors
    /// No such file, or a fence of `sh` or `text` that means nothing.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the page {}", path.display()))?;
        let blocks = parse(&text).with_context(|| format!("cannot use the page {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            blocks,
        })
    }

    /// One script of all blocks, for `sh`: the blocks share their variables, and the first command that fails ends it.
    /// The outputs of block N go to `N.out` and `N.err` in `outputs`.
    pub fn script(&self, outputs: &Path) -> String {
        let mut script = String::from("set -eu\n");
        for (index, block) in self.blocks.iter().enumerate() {
            let file = outputs.join(index.to_string());
            let file = file.display();
            let _ = write!(script, "{{\n{}}} >'{file}.out' 2>'{file}.err'\n", block.script);
        }
        script
    }
}

impl Block {
    /// The first documented line that the output does not have where it should.
    pub fn missing(&self, output: &str) -> Option<&str> {
        let mut lines = output.lines();
        self.expected
            .iter()
            .map(String::as_str)
            .find(|expected| !lines.any(|line| fits(line, expected)))
    }
}

fn parse(text: &str) -> anyhow::Result<Vec<Block>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut compared = false;
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else {
            continue;
        };
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .collect();
        match kind {
            "sh" => {
                let script = body.iter().map(|line| format!("{line}\n")).collect();
                blocks.push(Block {
                    line: index + 1,
                    script,
                    expected: Vec::new(),
                });
                compared = true;
            }
            "text" if compared => {
                let block = blocks.last_mut().expect("a block that is compared was pushed");
                block.expected.extend(
                    body.iter()
                        .filter(|line| !line.trim().is_empty())
                        .map(|line| (*line).to_owned()),
                );
            }
            "text" => bail!(
                "the text at line {} follows no block that is run; call it `text sample`",
                index + 1
            ),
            FOR_PEOPLE => compared = false,
            other if other.starts_with("sh") => {
                bail!("`{other}` at line {}: write sh or {FOR_PEOPLE}", index + 1)
            }
            _ => {}
        }
    }
    Ok(blocks)
}

/// Whether a line is what the page says. Columns may be wider or narrower.
fn fits(line: &str, expected: &str) -> bool {
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = expected.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut parts = expected.split(ANYTHING);
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let Some(last) = expected
        .rsplit(ANYTHING)
        .next()
        .filter(|_| expected.contains(ANYTHING))
    else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(found) = rest.find(part) else {
            return false;
        };
        rest = &rest[found + part.len()..];
    }
    line.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n\n```sh\na=1\n```\n\nIt says:\n\n```text\none …\n\ntwo\n```\n\n```sh ignore-in-test\nserve\n```\n\n```sh\necho $a\n```\n\n```text sample\n0.123\n```\n";

    #[test]
    fn blocks_to_run_are_told_from_those_for_people() {
        let blocks = parse(PAGE).unwrap();
        assert_eq!(blocks.len(), 2);
        assert_eq!((blocks[0].line, blocks[0].script.as_str()), (3, "a=1\n"));
        assert_eq!(blocks[0].expected, ["one …", "two"]);
        assert_eq!(
            (blocks[1].script.as_str(), blocks[1].expected.len()),
            ("echo $a\n", 0)
        );
    }

    #[test]
    fn fences_that_mean_nothing_are_refused() {
        assert!(parse("```shell\nls\n```\n").is_err());
        assert!(parse("```sh ignore\nls\n```\n").is_err());
        assert!(parse("```sh ignore-in-test\nls\n```\n```text\nx\n```\n").is_err());
    }

    #[test]
    fn lines_are_compared_word_for_word() {
        assert!(fits("minted  100 to 0xabc", "minted 100 to …"));
        assert!(fits("ok  digest   0x12 and more", "ok … and more"));
        assert!(fits("exactly", "exactly"));
        assert!(!fits("exactly so", "exactly"));
        assert!(!fits("minted 10 to 0xabc", "minted 100 to …"));
        assert!(!fits("x 0.5 y 0.5 z", "x … 0.5"));
        assert!(!fits("prefix minted", "minted"));
    }

    #[test]
    fn lines_are_looked_for_in_their_order() {
        let block = Block {
            expected: vec!["one".to_owned(), "two …".to_owned()],
            ..Block::default()
        };
        assert_eq!(block.missing("zero\none\ntwo 2\n"), None);
        assert_eq!(block.missing("two 2\none\n"), Some("two …"));
        assert_eq!(block.missing(""), Some("one"));
    }

    #[test]
    fn a_script_stops_where_a_block_fails() {
        let folder = tempfile::tempdir().unwrap();
        let page = Page {
            path: PathBuf::new(),
            blocks: parse("```sh\na=1\n```\n```sh\necho $a\nfalse\n```\n```sh\necho no\n```\n").unwrap(),
        };
        let status = std::process::Command::new("sh")
            .arg("-c")
            .arg(page.script(folder.path()))
            .status()
            .unwrap();
        assert!(!status.success());
        assert_eq!(
            std::fs::read_to_string(folder.path().join("1.out")).unwrap(),
            "1\n"
        );
        assert!(!folder.path().join("2.out").exists());
    }
}
