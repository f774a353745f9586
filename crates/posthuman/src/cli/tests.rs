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
fn errors_give_their_codes_and_exit_codes() {
    let kind = |error: anyhow::Error| {
        let (code, class) = kind_of(&error);
        (code, class.exit_code())
    };
    let is = |code: &str, exit| (code.to_owned(), exit);
    let market = anyhow::Error::from(MarketError::Input("x".into()));
    assert_eq!(kind(market.context("while doing")), is("input", 3));
    let gone = MarketError::NotForSale {
        did: format!("did:op:{}", "0".repeat(64)).parse().unwrap(),
        why: String::new(),
    };
    assert_eq!(kind(gone.into()), is("not_for_sale", 6));
    assert_eq!(kind(anyhow::anyhow!("unknown")), is("local", 1));
    assert_eq!(kind(Wrong("x".into()).into()), is("input", 3));
    let url = "nothing".to_owned();
    let chain = anyhow::Error::from(ChainError::BadUrl { url, why: "x".into() });
    assert_eq!(kind(chain.context("while connecting")), is("chain", 3));
    let book = posthuman_chain::AddressBook::read(std::path::Path::new("/nowhere/address.json"));
    assert_eq!(kind(book.unwrap_err().into()), is("addresses", 3));
    assert_eq!(kind(Unverified("x".into()).into()), is("node_untrue", 4));
}

/// What the parser makes of a line.
fn parsed(line: &str) -> Command {
    let matches = command().try_get_matches_from(shell_words(line)).unwrap();
    Cli::from_arg_matches(&matches).unwrap().command
}

/// A command that nothing listens to: what it refuses, it refuses before anything else.
async fn refused(line: &str) -> String {
    let context = Context {
        settings: Settings::collect(&command().get_matches_from(["posthuman", "settings"]), |_| None)
            .unwrap(),
        json: false,
    };
    let error = run(parsed(line), &context).await.unwrap_err();
    assert_eq!(kind_of(&error).1.exit_code(), 3, "{error:#}");
    full_text(error.as_ref())
}

#[tokio::test]
async fn nobody_pays_twice_for_an_order_they_have() {
    let did = format!("did:op:{}", "0".repeat(64));
    let order = format!("8996:0x{}:3", "1".repeat(64));
    let line = format!("posthuman order train {did} --text nowhere.txt --name M2 --order {order}");
    let sentence = refused(&line).await;
    assert!(sentence.contains(&format!("posthuman train {did}")), "{sentence}");
    assert!(sentence.contains(&format!("--renew {order}")), "{sentence}");
    let sentence = refused(&format!(
        "posthuman order --renew {order} find 0x{}",
        "1".repeat(64)
    ))
    .await;
    assert!(sentence.contains("--renew"), "{sentence}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_asked() {
    let did = format!("did:op:{}", "0".repeat(64));
    let sentence = refused(&format!("posthuman infer {did} --prompt x --top-p 2")).await;
    assert!(sentence.contains("parameters"), "{sentence}");
    let sentence = refused("posthuman model show did:op:12").await;
    assert!(sentence.contains("did:op:12"), "{sentence}");
    let sentence = refused("posthuman model show nowhere.gguf").await;
    assert!(sentence.contains("nowhere.gguf"), "{sentence}");
    let sentence = refused(&format!("posthuman sell {did} --amount 2")).await;
    assert!(sentence.contains("--price"), "{sentence}");
    let line = format!(
        "posthuman evaluate {did} --text x.txt --order 8996:0x{0}:0 --order 8996:0x{0}:1",
        "1".repeat(64)
    );
    let sentence = refused(&line).await;
    assert!(sentence.contains("2 orders"), "{sentence}");
}

#[test]
fn a_precision_is_one_of_two() {
    let did = format!("did:op:{}", "0".repeat(64));
    for operation in ["train", "order train", "evaluate", "order evaluate"] {
        let name = if operation.contains("train") {
            "--name M"
        } else {
            ""
        };
        let line = |precision: &str| {
            format!("posthuman {operation} {did} --text x.txt {name} --precision {precision}")
        };
        parsed(&line("f32"));
        parsed(&line("bf16"));
        let error = command()
            .try_get_matches_from(shell_words(&line("f16")))
            .unwrap_err();
        assert!(
            error.to_string().contains("write f32 or bf16"),
            "{operation}: {error}"
        );
    }
}

#[test]
fn an_error_tells_its_causes_once() {
    let error = anyhow::anyhow!("inner").context("outer");
    assert_eq!(full_text(error.as_ref()), "outer: inner");
    let error = anyhow::anyhow!("inner").context("outer: inner");
    assert_eq!(full_text(error.as_ref()), "outer: inner");
}
