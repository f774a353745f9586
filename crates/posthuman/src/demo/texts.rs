//! The texts of the story, from the pinned data packages. Whole chapters and speeches are held out.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Chapters of Moby-Dick. The package's `data.txt` is the whole book and would leak what is held out.
const CHAPTERS: usize = 135;
/// The first year of Charlie's speeches.
const CENTURY: u32 = 1900;
/// Of each century's speeches every so-manieth is read: enough for short trainings.
const EVERY: usize = 6;
/// Of the speeches read, every so-manieth is held out.
const HELD_OUT: usize = 8;

/// A text to learn from and one to be judged by.
pub(super) struct Split {
    pub text: String,
    pub held_out: String,
}

/// All texts.
pub(super) struct Texts {
    /// Alice's: Moby-Dick.
    pub x: Split,
    /// Bob's: addresses before 1900.
    pub y: Split,
    /// Charlie's: addresses from 1900.
    pub z: Split,
    /// Elena's: chapters that nobody has trained on or looked at.
    pub elena: String,
}

/// Reads them from the packages under `contracts/`.
pub(super) fn read(contracts: &Path) -> anyhow::Result<Texts> {
    let packages = contracts.join("node_modules/@stdlib");
    let (x, elena) = moby_dick(&packages.join("datasets-moby-dick/data"))?;
    let speeches = speeches(&packages.join("datasets-sotu/data"))?;
    let (early, late): (Vec<_>, Vec<_>) = speeches.into_iter().partition(|(year, _)| *year < CENTURY);
    Ok(Texts {
        x,
        y: split(&early)?,
        z: split(&late)?,
        elena,
    })
}

fn moby_dick(folder: &Path) -> anyhow::Result<(Split, String)> {
    let mut parts: [Vec<String>; 3] = Default::default();
    for chapter in 1..=CHAPTERS {
        let part = match chapter % 10 {
            0 => 1,
            5 => 2,
            _ => 0,
        };
        parts[part].push(text(&folder.join(format!("chapter_{chapter}.txt")))?);
    }
    let [train, held_out, elena] = parts.map(|part| part.join("\n\n"));
    Ok((
        Split {
            text: train,
            held_out,
        },
        elena,
    ))
}

/// Speeches as year and file, in order of their names.
fn speeches(folder: &Path) -> anyhow::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).with_context(|| {
        format!(
            "cannot read {}; install the texts with `make contracts`",
            folder.display()
        )
    })?;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let year = name.split('_').next().and_then(|year| year.parse().ok());
        if let (Some(year), Some("txt")) = (year, path.extension().and_then(|extension| extension.to_str())) {
            found.push((year, path));
        }
    }
    found.sort();
    Ok(found)
}

fn split(speeches: &[(u32, PathBuf)]) -> anyhow::Result<Split> {
    let (mut train, mut held_out) = (Vec::new(), Vec::new());
    for (index, (_, path)) in speeches.iter().step_by(EVERY).enumerate() {
        let part = if index % HELD_OUT == HELD_OUT / 2 {
            &mut held_out
        } else {
            &mut train
        };
        part.push(text(path)?);
    }
    Ok(Split {
        text: train.join("\n\n"),
        held_out: held_out.join("\n\n"),
    })
}

/// A file without control bytes: a few of the speeches hold some, and the node takes such a text for binary.
fn text(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| {
        format!(
            "cannot read {}; install the texts with `make contracts`",
            path.display()
        )
    })?;
    Ok(text
        .chars()
        .filter(|character| !character.is_control() || matches!(character, '\n' | '\t'))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_held_out_is_trained_on() {
        let texts = read(&posthuman_chain::devnet::contracts_folder()).unwrap();
        for (name, split) in [("x", &texts.x), ("y", &texts.y), ("z", &texts.z)] {
            let (train, held_out) = (split.text.len(), split.held_out.len());
            assert!(
                train > 200_000 && held_out > 30_000,
                "{name}: {train} and {held_out} bytes"
            );
            for paragraph in split
                .held_out
                .split("\n\n")
                .filter(|paragraph| paragraph.len() > 200)
                .take(20)
            {
                assert!(!split.text.contains(paragraph), "{name}: {paragraph}");
            }
        }
        assert!(texts.elena.len() > 50_000);
        assert!(
            !texts.x.text.contains(&texts.elena[..2_000])
                && !texts.x.held_out.contains(&texts.elena[..2_000])
        );
    }
}
