//! Statements: what is built, what is refused, and what a comparison names.

use posthuman_proofs::{
    StatementError, build_statement, check_answers, compare, read_statement, statement_bytes,
    validate_statement,
};
use posthuman_types::{B256, Input, InputManifest, Operation, Statement};

use crate::fixtures::{Change, INFER, TRAIN, commitment, facts, spec, statement};

#[test]
fn a_statement_answers_its_specification_and_reads_back() {
    for parameters in [TRAIN, INFER] {
        let statement = statement(parameters);
        check_answers(&statement, &spec(parameters)).unwrap();
        assert_eq!(read_statement(&statement_bytes(&statement)).unwrap(), statement);
        compare(&statement, &statement.clone()).unwrap();
    }
    assert_eq!(statement(TRAIN).seed, 7);
}

#[test]
fn an_answer_to_another_specification_is_found() {
    let statement = statement(TRAIN);
    let mut other = spec(TRAIN);
    other.commitment = None;
    other.inputs = InputManifest::default();
    let error = check_answers(&statement, &other).unwrap_err();
    let what: Vec<&str> = error.items().iter().map(|item| item.what.as_str()).collect();
    assert_eq!(what, ["the weights that went in", "the input"]);
    let mut named = spec(TRAIN);
    named.engine = Some(statement.engine.clone());
    check_answers(&statement, &named).unwrap();
    named.engine = Some("posthuman-lm/1+bf16/amx".to_owned());
    let error = check_answers(&statement, &named).unwrap_err().to_string();
    assert!(
        error.contains("the engine: posthuman-lm/1 against posthuman-lm/1+bf16/amx"),
        "{error}"
    );
}

#[test]
fn the_engine_is_of_the_precision_that_was_asked_for() {
    let bf16 = TRAIN.replace("\"seed\":7", "\"seed\":7,\"precision\":\"bf16\"");
    let spec = spec(&bf16);
    let stated = |engine: &str| {
        let mut facts = facts(Operation::Train);
        facts.engine = engine.to_owned();
        build_statement(&spec, facts)
    };
    for engine in ["posthuman-lm/1+bf16/amx", "posthuman-lm/1+bf16/avx512"] {
        assert_eq!(stated(engine).unwrap().engine, engine);
    }
    for engine in [
        "posthuman-lm/1",
        "posthuman-lm/1+f32",
        "posthuman-lm/1+int8/vnni",
        "posthuman-lm/1+",
    ] {
        assert!(stated(engine).is_err(), "{engine}");
    }
    let mut plain = statement(INFER);
    plain.engine = "posthuman-lm/1+bf16/amx".to_owned();
    assert_eq!(
        validate_statement(&plain).unwrap_err().to_string(),
        "the statement contradicts itself: the parameters ask for f32, and the engine `posthuman-lm/1+bf16/amx` computed \
         otherwise",
    );
}

#[test]
fn other_bytes_are_refused() {
    assert!(matches!(read_statement(b"{}"), Err(StatementError::Shape { .. })));
    assert!(matches!(
        read_statement(b"\xff"),
        Err(StatementError::Shape { .. })
    ));
    let mut spaced = statement_bytes(&statement(TRAIN));
    spaced.push(b'\n');
    assert!(matches!(
        read_statement(&spaced),
        Err(StatementError::NotCanonical)
    ));
}

#[test]
fn contradictions_are_refused() {
    let changes: [Change<Statement>; 14] = [
        ("operation", |statement| statement.operation = Operation::Infer),
        ("seed", |statement| statement.seed += 1),
        ("engine", |statement| statement.engine.clear()),
        ("no weights in", |statement| statement.commitment_in = None),
        ("no weights out", |statement| statement.commitment_out = None),
        ("unchanged weights", |statement| {
            statement.commitment_out = statement.commitment_in.clone()
        }),
        ("version", |statement| statement.version = 2),
        ("parameters", |statement| statement.parameters.push(' ')),
        ("range", |statement| {
            statement.parameters = statement.parameters.replace("\"steps\":3", "\"steps\":0")
        }),
        ("file name", |statement| {
            statement.outputs = manifest(&["../metrics.json"])
        }),
        ("hidden file", |statement| {
            statement.outputs = manifest(&[".metrics"])
        }),
        ("file twice", |statement| {
            statement.outputs = manifest(&["a", "a"])
        }),
        ("foreign tokens", |statement| {
            statement.usage.generated_tokens = u64::MAX
        }),
        ("no tokens", |statement| statement.usage.trained_tokens = 0),
    ];
    for (what, change) in changes {
        let mut changed = statement(TRAIN);
        change(&mut changed);
        assert!(validate_statement(&changed).is_err(), "{what}");
    }
    let mut inference = statement(INFER);
    inference.commitment_out = Some(commitment(4));
    assert_eq!(
        validate_statement(&inference).unwrap_err().to_string(),
        "the statement contradicts itself: weights came out, and the operation is infer",
    );
    (
        inference.commitment_out,
        inference.usage.prompt_tokens,
        inference.usage.generated_tokens,
    ) = (None, u64::MAX, 1);
    validate_statement(&inference).unwrap();
}

#[test]
fn a_model_from_scratch_has_no_weights_before() {
    let scratch = TRAIN.replace(
        "\"architecture\":null",
        r#""architecture":{"layers":2,"heads":2,"width":16,"context":32,"vocabulary":300}"#,
    );
    let scratch = scratch.replace("\"parent_share_bps\":null", "\"parent_share_bps\":2000");
    let mut spec = spec(&scratch);
    assert!(build_statement(&spec, facts(Operation::Train)).is_err());
    spec.commitment = None;
    build_statement(&spec, facts(Operation::Train)).unwrap();
}

fn manifest(names: &[&str]) -> InputManifest {
    InputManifest::new(names.iter().map(|name| Input::describe(name, b"x")).collect())
}

#[test]
fn a_comparison_names_everything_that_differs() {
    let changes: [Change<Statement>; 14] = [
        ("the version of the format", |statement| statement.version += 1),
        ("the operation", |statement| {
            statement.operation = Operation::Evaluate
        }),
        ("the engine", |statement| statement.engine.push('x')),
        ("the weights that went in", |statement| {
            statement.commitment_in = None
        }),
        ("the weights that came out", |statement| {
            statement.commitment_out = Some(commitment(9))
        }),
        ("the tokenizer", |statement| statement.tokenizer = B256::ZERO),
        ("the input", |statement| statement.input = B256::ZERO),
        ("the parameter `train.steps`", |statement| {
            statement.parameters = TRAIN.replace("\"steps\":3", "\"steps\":4")
        }),
        ("the text of the parameters", |statement| {
            statement.parameters.push(' ')
        }),
        ("the seed", |statement| statement.seed += 1),
        ("the output `metrics.json`", |statement| {
            statement.outputs = InputManifest::new(vec![Input::describe("metrics.json", b"other")]);
        }),
        ("the list of outputs", |statement| {
            let file = statement.outputs.inputs()[0].clone();
            statement.outputs = InputManifest::new(vec![file.clone(), file]);
        }),
        ("the number of trained tokens", |statement| {
            statement.usage.trained_tokens += 1
        }),
        ("the number of scored tokens", |statement| {
            statement.usage.scored_tokens += 1
        }),
    ];
    let first = statement(TRAIN);
    for (what, change) in changes {
        let mut second = first.clone();
        change(&mut second);
        let differences = compare(&first, &second).unwrap_err();
        assert_eq!(differences.items().len(), 1, "{differences}");
        assert_eq!(differences.items()[0].what, what);
    }
}

#[test]
fn differences_read_as_a_sentence() {
    let first = statement(TRAIN);
    let mut second = first.clone();
    second.seed = 8;
    second.outputs = InputManifest::default();
    let digest = first.outputs.inputs()[0].digest;
    assert_eq!(
        compare(&first, &second).unwrap_err().to_string(),
        format!(
            "the statements differ: the seed: 7 against 8; the output `metrics.json`: {digest} (6 bytes) against no such file"
        ),
    );
}
