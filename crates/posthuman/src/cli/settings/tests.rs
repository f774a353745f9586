use super::*;

fn collect(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Settings, SettingError> {
    let command = add_flags(Command::new("posthuman").subcommand(Command::new("node")));
    let flags = command.try_get_matches_from(arguments).unwrap();
    let find = |name: &str| {
        environment
            .iter()
            .find(|(variable, _)| *variable == name)
            .map(|(_, value)| (*value).to_owned())
    };
    Settings::collect(&flags, find)
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "rpc = \"http://file:1\"\nnode = \"http://file:2\"\naddress_file = \"from-file\"\n",
    )
    .unwrap();
    let config = file.path().to_str().unwrap();
    let environment = [
        ("POSTHUMAN_RPC", "http://env:1"),
        ("POSTHUMAN_NODE", "http://env:2"),
    ];
    let settings = collect(
        &["posthuman", "--config", config, "node", "--rpc", "http://flag:1"],
        &environment,
    )
    .unwrap();
    assert_eq!(settings.text("rpc"), Some("http://flag:1"));
    assert_eq!(settings.text("node"), Some("http://env:2"));
    assert_eq!(settings.text("address-file"), Some("from-file"));
    let bare = collect(&["posthuman", "node"], &[]).unwrap();
    assert_eq!(bare.text("rpc"), Some("http://127.0.0.1:8545"));
    assert_eq!(bare.given("rpc"), None);
    assert!(!bare.switch("unsafe-no-sandbox").unwrap());
    assert!(
        collect(&["posthuman", "node", "--unsafe-no-sandbox"], &[])
            .unwrap()
            .switch("unsafe-no-sandbox")
            .unwrap()
    );
    assert_eq!(bare.text("wallet"), None);
}

#[test]
fn of_two_ways_to_say_it_the_stronger_place_wins() {
    let beats = |arguments: &[&str], environment: &[(&str, &str)]| {
        let settings = collect(arguments, environment).unwrap();
        settings.beats("password-fd", "password-file")
    };
    let (file, descriptor) = (
        ("POSTHUMAN_PASSWORD_FILE", "file"),
        ("POSTHUMAN_PASSWORD_FD", "7"),
    );
    assert!(beats(&["posthuman", "--password-fd", "7"], &[file]));
    assert!(!beats(&["posthuman", "--password-file", "file"], &[descriptor]));
    assert!(!beats(&["posthuman"], &[file, descriptor]));
    assert!(beats(&["posthuman"], &[descriptor]));
}

#[test]
fn dev_takes_no_flag_that_it_would_ignore() {
    let command = add_flags(Command::new("posthuman").subcommand(Command::new("dev")));
    for flag in [
        "--chain-id",
        "--receipt-signer",
        "--receipt-signer-password-file",
        "--master-key",
        "--master-key-password-file",
    ] {
        let taken = command
            .clone()
            .try_get_matches_from(["posthuman", "dev", flag, "1"]);
        assert_eq!(
            taken.unwrap_err().kind(),
            clap::error::ErrorKind::UnknownArgument,
            "{flag}"
        );
    }
}

#[test]
fn bad_values_say_where_they_stand() {
    let settings = collect(&["posthuman", "node"], &[("POSTHUMAN_PORT", "many")]).unwrap();
    let error = settings
        .require::<u16>("port", "the port")
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("the environment variable POSTHUMAN_PORT is `many`"),
        "{error}"
    );
    let error = settings
        .require::<String>("wallet", "your wallet")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("--wallet") && error.contains("POSTHUMAN_WALLET"),
        "{error}"
    );
}

#[test]
fn unknown_keys_and_missing_files_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "prot = 1\n").unwrap();
    let config = file.path().to_str().unwrap();
    assert!(matches!(
        collect(&["posthuman", "--config", config], &[]),
        Err(SettingError::Unknown { .. })
    ));
    std::fs::write(file.path(), "port = [1]\n").unwrap();
    assert!(matches!(
        collect(&["posthuman", "--config", config], &[]),
        Err(SettingError::Value { .. })
    ));
    std::fs::write(file.path(), "port\n").unwrap();
    assert!(matches!(
        collect(&["posthuman", "--config", config], &[]),
        Err(SettingError::Toml { .. })
    ));
    assert!(matches!(
        collect(&["posthuman", "--config", "/no/such"], &[]),
        Err(SettingError::File { .. })
    ));
}

#[test]
fn the_page_in_the_documentation_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/settings.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == markdown(),
        "docs/settings.md is stale: run `posthuman settings --markdown > docs/settings.md`"
    );
}

#[test]
fn names_are_unique_and_spelled_like_flags() {
    for (index, setting) in SETTINGS.iter().enumerate() {
        assert!(
            setting
                .name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
            "{}",
            setting.name
        );
        assert!(
            SETTINGS[..index].iter().all(|other| other.name != setting.name),
            "{}",
            setting.name
        );
        assert!(setting.doc.ends_with('.'), "{}", setting.name);
    }
}
