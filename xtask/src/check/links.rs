//! Links in Markdown pages: each relative one leads to a file, and its anchor to a heading.

use std::collections::HashMap;

use anyhow::Result;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::Fault;
use crate::repository::Repository;

/// Finds links to files or headings that are not there. Links to other hosts are not followed.
pub fn check(repository: &Repository) -> Result<Vec<Fault>> {
    let pages = repository.files.iter().filter(|file| file.path.ends_with(".md"));
    let faults = pages.flat_map(|page| {
        let links = links_of(&page.text);
        links.into_iter().filter_map(|(line, link)| {
            let what = broken(repository, &page.path, &link)?;
            Some(Fault::at(
                &page.path,
                line,
                format!("the link to `{link}` leads nowhere: {what}"),
            ))
        })
    });
    Ok(faults.collect())
}

/// Why `link` on the page `from` leads nowhere, if it does.
fn broken(repository: &Repository, from: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link
        .split_once('#')
        .map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let Some(target) = resolve(from, path) else {
        return Some("it leaves the repository.".to_owned());
    };
    if !repository.paths.contains(&target) {
        return Some(format!("there is no {target}."));
    }
    let anchor = anchor.filter(|_| target.ends_with(".md"))?;
    let found = repository
        .text(&target)
        .is_some_and(|text| anchors_of(text).iter().any(|name| name == anchor));
    (!found).then(|| format!("{target} has no heading `#{anchor}`."))
}

/// The path from the root of what `path` on the page `from` names; nothing where it climbs above the root.
fn resolve(from: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(from.to_owned());
    }
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let base = if path.starts_with('/') { "" } else { folder };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The targets of links and pictures in `text`, each with its line.
fn links_of(text: &str) -> Vec<(usize, String)> {
    let events = Parser::new_ext(text, Options::ENABLE_TABLES | Options::ENABLE_FOOTNOTES).into_offset_iter();
    let links = events.filter_map(|(event, range)| match event {
        Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => Some((
            text[..range.start].matches('\n').count() + 1,
            dest_url.into_string(),
        )),
        _ => None,
    });
    links.collect()
}

/// The anchors of the headings of `text`, named as GitHub names them.
fn anchors_of(text: &str) -> Vec<String> {
    let mut anchors = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(words) | Event::Code(words) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&words);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let name = anchor_of(&heading.take().unwrap_or_default());
                let before = seen.entry(name.clone()).or_default();
                anchors.push(if *before == 0 {
                    name
                } else {
                    format!("{name}-{before}")
                });
                *before += 1;
            }
            _ => {}
        }
    }
    anchors
}

/// Lower case, blanks as hyphens, no other signs than `-` and `_`.
fn anchor_of(heading: &str) -> String {
    let kept = heading
        .trim()
        .chars()
        .filter(|sign| sign.is_alphanumeric() || " -_".contains(*sign));
    kept.flat_map(char::to_lowercase)
        .map(|sign| if sign == ' ' { '-' } else { sign })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::made_up;

    fn faults_of(page: &str) -> Vec<Fault> {
        let files = [
            ("docs/a.md", page),
            ("docs/b.md", "# Who may `use` whom?\n\n## Twice\n## Twice\n"),
            ("README.md", ""),
        ];
        check(&made_up(&files)).unwrap()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        let page = "# Here\n[b](b.md) [root](../README.md) [folder](../docs) [abs](/docs/b.md) [web](https://a.org/x)\n\
            [head](b.md#who-may-use-whom) [second](b.md#twice-1) [here](#here) `[code](none.md)`\n";
        assert_eq!(faults_of(page), []);
    }

    #[test]
    fn links_that_lead_nowhere_fail_with_their_line() {
        for link in [
            "none.md",
            "../../outside.md",
            "b.md#none",
            "#none",
            "b.md#twice-2",
        ] {
            let faults = faults_of(&format!("# Here\n\n[link]({link})\n"));
            assert_eq!(faults.len(), 1, "{link}");
            assert_eq!(faults[0].place, "docs/a.md:3");
        }
        assert_eq!(
            faults_of("![picture](none.svg)\n[by name][x]\n\n[x]: none.md\n").len(),
            2
        );
    }
}
