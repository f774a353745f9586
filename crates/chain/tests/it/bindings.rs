//! Every function, event and struct of the bindings against the artifacts of the pinned packages.

use std::fs;

use alloy::json_abi::{Event, EventParam, Function, JsonAbi, Param, StateMutability};
use posthuman_chain::SplitterCode;
use posthuman_chain::bindings::*;
use posthuman_chain::devnet::{Artifacts, Version, contracts_folder};

fn artifact(version: Version, source: &str, contract: &str) -> JsonAbi {
    let artifacts = Artifacts::open(&contracts_folder()).unwrap();
    let path = artifacts.path(version, source, contract);
    let text = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `make contracts`", path.display()));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(json["abi"].clone()).unwrap()
}

/// Types with structs unfolded and their fields named.
fn shape(parameter: &Param) -> String {
    let inner: Vec<_> = parameter
        .components
        .iter()
        .map(|inner| format!("{} {}", shape(inner), inner.name))
        .collect();
    format!("{}({})", parameter.ty, inner.join(","))
}

fn function_shape(function: &Function) -> String {
    let inputs: Vec<_> = function
        .inputs
        .iter()
        .map(|input| format!("{} {}", shape(input), input.name))
        .collect();
    let outputs: Vec<_> = function
        .outputs
        .iter()
        .map(|output| format!("{} {}", shape(output), output.name))
        .collect();
    // To a caller, `pure` is `view`.
    let reads = matches!(
        function.state_mutability,
        StateMutability::Pure | StateMutability::View
    );
    format!(
        "{}({}) {reads} -> {}",
        function.name,
        inputs.join(","),
        outputs.join(",")
    )
}

fn event_shape(event: &Event) -> String {
    let input = |input: &EventParam| format!("{} {} {}", input.ty, input.indexed, input.name);
    let inputs: Vec<_> = event.inputs.iter().map(input).collect();
    format!("{}({}) {}", event.name, inputs.join(","), event.anonymous)
}

fn compare(ours: &JsonAbi, theirs: &JsonAbi, contract: &str) -> usize {
    for function in ours.functions() {
        let selector = function.selector();
        let other = theirs.functions().find(|other| other.selector() == selector);
        let other = other.unwrap_or_else(|| panic!("{contract} has no {}", function.signature()));
        assert_eq!(function_shape(function), function_shape(other), "{contract}");
    }
    for event in ours.events() {
        let other = theirs.events().find(|other| other.selector() == event.selector());
        let other = other.unwrap_or_else(|| panic!("{contract} has no event {}", event.signature()));
        assert_eq!(event_shape(event), event_shape(other), "{contract}");
    }
    ours.functions().count() + ours.events().count()
}

#[test]
fn every_selector_topic_and_struct_is_the_artifacts() {
    use Version::{Current, Earlier};
    let fixed_rate = ("pools/fixedRate/FixedRateExchange.sol", "FixedRateExchange");
    let datatoken = ("templates/ERC20Template.sol", "ERC20Template");
    let ocean = ("utils/OceanToken.sol", "OceanToken");
    let cases: [(JsonAbi, Version, (&str, &str)); 14] = [
        (IErc20::abi::contract(), Current, datatoken),
        (IErc20::abi::contract(), Current, ocean),
        (IOceanToken::abi::contract(), Current, ocean),
        (IDatatoken::abi::contract(), Current, datatoken),
        (
            INft::abi::contract(),
            Current,
            ("templates/ERC721Template.sol", "ERC721Template"),
        ),
        (
            INftFactory::abi::contract(),
            Current,
            ("ERC721Factory.sol", "ERC721Factory"),
        ),
        (
            IRouter::abi::contract(),
            Current,
            ("pools/FactoryRouter.sol", "FactoryRouter"),
        ),
        (IFixedRate::abi::contract(), Current, fixed_rate),
        (IFixedRate::abi::contract(), Earlier, fixed_rate),
        (
            IDispenser::abi::contract(),
            Current,
            ("pools/dispenser/Dispenser.sol", "Dispenser"),
        ),
        (
            IPool::abi::contract(),
            Current,
            ("pools/balancer/BPool.sol", "BPool"),
        ),
        (
            ISideStaking::abi::contract(),
            Earlier,
            ("pools/ssContracts/SideStaking.sol", "SideStaking"),
        ),
        (
            ISplitter::abi::contract(),
            Current,
            ("df/Splitter.sol", "Splitter"),
        ),
        (
            IEnterpriseFeeCollector::abi::contract(),
            Current,
            (
                "communityFee/EnterpriseFeeCollector.sol",
                "EnterpriseFeeCollector",
            ),
        ),
    ];
    let mut compared = 0;
    for (ours, version, (source, contract)) in cases {
        compared += compare(&ours, &artifact(version, source, contract), contract);
    }
    assert!(compared > 180, "only {compared} items were compared");
}

#[test]
fn a_splitter_is_made_of_the_pinned_code() {
    let artifacts = Artifacts::open(&contracts_folder()).unwrap();
    let pinned = artifacts
        .creation_code(Version::Current, "df/Splitter.sol", "Splitter")
        .unwrap();
    let code = SplitterCode::read(&contracts_folder()).unwrap();
    let deployed = posthuman_chain::Splitter::deploy(&code, &[]).data;
    assert_eq!(deployed[..pinned.len()], pinned[..]);
}
