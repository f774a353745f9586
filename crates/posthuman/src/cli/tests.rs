//! The declaration of all commands, and how they end.

use super::*;

fn each_command(command: &clap::Command, path: &str, check: &mut dyn FnMut(&clap::Command, &str)) {
    for sub in command.get_subcommands() {
        let path = format!("{path} {}", sub.get_name());
        check(sub, &path);
        each_command(sub, &path, check);
    }
}

#[test]
fn the_declaration_is_sound_and_every_help_renders() {
    let mut root = command();
    root.clone().debug_assert();
    assert!(root.render_long_help().to_string().contains("Exit codes"));
    each_command(&root, "posthuman", &mut |sub, path| {
        let help = sub.clone().render_long_help().to_string();
        assert!(!help.is_empty(), "{path}");
        let is_leaf = sub.get_subcommands().next().is_none();
        let of_clap = path.split(' ').nth(1) == Some("help") || sub.get_name() == "help";
        assert!(
            !is_leaf || sub.is_hide_set() || of_clap || help.contains("Example"),
            "{path} shows no example"
        );
    });
}

/// Words as a shell cuts them, with single quotes.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_example_in_the_help_parses() {
    let root = command();
    let mut examples = vec![EXAMPLES.to_owned()];
    each_command(&root, "posthuman", &mut |sub, _| {
        examples.extend(sub.get_after_help().map(ToString::to_string));
    });
    let did = format!("did:op:{}", "0".repeat(64));
    let mut count = 0;
    for line in examples
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| line.trim().starts_with("posthuman "))
    {
        // Two or more spaces part the command from its explanation, `<` from what a shell would read.
        let line = line
            .trim()
            .split("  ")
            .next()
            .unwrap_or_default()
            .split(" < ")
            .next()
            .unwrap_or_default();
        let words = shell_words(&line.replace("DID", &did));
        if let Err(error) = root.clone().try_get_matches_from(&words) {
            panic!("{line}: {error}");
        }
        count += 1;
    }
    assert!(count > 30, "only {count} examples");
}

#[test]
fn errors_give_their_exit_codes() {
    let market = anyhow::Error::from(MarketError::Input("x".into()));
    assert_eq!(class_of(&market.context("while doing")).exit_code(), 3);
    let gone = MarketError::NotForSale {
        did: format!("did:op:{}", "0".repeat(64)).parse().unwrap(),
        why: String::new(),
    };
    assert_eq!(class_of(&gone.into()).exit_code(), 6);
    assert_eq!(class_of(&anyhow::anyhow!("unknown")).exit_code(), 1);
    assert_eq!(class_of(&Wrong("x".into()).into()).exit_code(), 3);
}

#[test]
fn an_error_tells_its_causes_once() {
    let error = anyhow::anyhow!("inner").context("outer");
    assert_eq!(full_text(&error), "outer: inner");
    let error = anyhow::anyhow!("inner").context("outer: inner");
    assert_eq!(full_text(&error), "outer: inner");
}
