//! Statements: built from a job's specification, validated, and written in one canonical form.

use posthuman_types::parameters::ParametersError;
use posthuman_types::{
    Commitment, Digest, EngineName, ErrorClass, InputManifest, JobSpec, Operation, Parameters, Statement,
    Usage,
};

use crate::compare::Differences;

/// The version of the format that is written and read.
const VERSION: u16 = 1;

/// What only the run itself can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementFacts {
    /// Name and version of the engine's numerics.
    pub engine: String,
    /// Commitment to the weights that came out; of a training.
    pub commitment_out: Option<Commitment>,
    /// Keccak-256 of the `tokenizer.json` in use.
    pub tokenizer: Digest,
    /// The files under `outputs/`.
    pub outputs: InputManifest,
    /// What was used up.
    pub usage: Usage,
}

/// A statement that cannot be right, whatever was run.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not JSON of the right shape.
    #[error("the statement is not of the expected shape")]
    Shape {
        /// What the parser says.
        source: serde_json::Error,
    },
    /// The right values, written another way.
    #[error("the statement is not in canonical form: it must be the bytes that the worker wrote")]
    NotCanonical,
    /// A version that this program does not know.
    #[error(
        "the statement has version {found} and this program reads version {VERSION}: use a newer program"
    )]
    Version {
        /// The version it has.
        found: u16,
    },
    /// Parameters that no job could have been started with.
    #[error("the statement's parameters are not valid")]
    Parameters {
        /// What is wrong with them.
        source: ParametersError,
    },
    /// Two parts of the statement contradict each other.
    #[error("the statement contradicts itself: {reason}")]
    Contradiction {
        /// What contradicts what.
        reason: String,
    },
}

impl StatementError {
    /// A statement is its bringer's to mend. From a worker of this node it would be a fault of ours.
    pub fn class(&self) -> ErrorClass {
        ErrorClass::Caller
    }
}

/// Builds the statement of a run of `spec`.
///
/// # Errors
/// As [`validate_statement`].
pub fn build_statement(spec: &JobSpec, facts: StatementFacts) -> Result<Statement, StatementError> {
    let statement = Statement {
        version: VERSION,
        operation: spec.operation,
        engine: facts.engine,
        commitment_in: spec.commitment.clone(),
        commitment_out: facts.commitment_out,
        tokenizer: facts.tokenizer,
        input: spec.inputs.digest(),
        parameters: spec.parameters.clone(),
        seed: parameters(&spec.parameters)?.seed(),
        outputs: facts.outputs,
        usage: facts.usage,
    };
    validate_statement(&statement)?;
    Ok(statement)
}

/// Checks a statement for everything that can be checked without the job.
///
/// # Errors
/// An unknown version; parameters that are not canonical, out of range or of another operation; a seed that is not
/// theirs; no engine, or one of another precision than they ask for; a training without new weights or with the weights
/// it began with; weights that come out of anything else; output names that are not plain file names in order; usage of
/// another operation, or none.
pub fn validate_statement(statement: &Statement) -> Result<(), StatementError> {
    if statement.version != VERSION {
        return Err(StatementError::Version {
            found: statement.version,
        });
    }
    let parameters = parameters(&statement.parameters)?;
    parameters
        .check()
        .map_err(|source| StatementError::Parameters { source })?;
    let operation = statement.operation;
    check(parameters.operation() == operation, || {
        format!(
            "the operation is {operation} and the parameters are of {}",
            parameters.operation()
        )
    })?;
    check(parameters.seed() == statement.seed, || {
        format!(
            "the seed is {} and among the parameters {}",
            statement.seed,
            parameters.seed()
        )
    })?;
    check_engine(&statement.engine, &parameters)?;
    check_commitments(statement, &parameters)?;
    check_outputs(&statement.outputs)?;
    check_usage(operation, &statement.usage)
}

/// Checks that a statement answers `spec`: the same operation, weights, input and parameters, and the engine that it
/// names, if it names one.
///
/// # Errors
/// Every field in which it does not.
pub fn check_answers(statement: &Statement, spec: &JobSpec) -> Result<(), Differences> {
    let mut differences = Differences::between("statement and the job's specification");
    differences.field("the operation", statement.operation, spec.operation);
    differences.commitment(
        "the weights that went in",
        statement.commitment_in.as_ref(),
        spec.commitment.as_ref(),
    );
    differences.field("the input", statement.input, spec.inputs.digest());
    differences.parameters(&statement.parameters, &spec.parameters);
    differences.expected("the engine", statement.engine.as_str(), spec.engine.as_deref());
    differences.into_result()
}

/// The canonical bytes, as they stand in `statement.json`: JSON, fields in the order of their declaration, no spaces.
pub fn statement_bytes(statement: &Statement) -> Vec<u8> {
    serde_json::to_vec(statement).expect("a statement holds no map with keys that are not strings")
}

/// Reads canonical bytes and validates what they say.
///
/// # Errors
/// Bytes of another shape or form, or a statement that [`validate_statement`] refuses.
pub fn read_statement(bytes: &[u8]) -> Result<Statement, StatementError> {
    let statement: Statement =
        serde_json::from_slice(bytes).map_err(|source| StatementError::Shape { source })?;
    if statement_bytes(&statement) != bytes {
        return Err(StatementError::NotCanonical);
    }
    validate_statement(&statement)?;
    Ok(statement)
}

fn parameters(text: &str) -> Result<Parameters, StatementError> {
    Parameters::from_canonical(text).map_err(|source| StatementError::Parameters { source })
}

fn check(holds: bool, reason: impl FnOnce() -> String) -> Result<(), StatementError> {
    if holds {
        Ok(())
    } else {
        Err(StatementError::Contradiction { reason: reason() })
    }
}

fn check_engine(engine: &str, parameters: &Parameters) -> Result<(), StatementError> {
    check(!engine.is_empty(), || "no engine is named".to_owned())?;
    let name = EngineName::read(engine);
    check(name.to_string() == engine, || {
        format!("the engine `{engine}` is named in another form than `{name}`")
    })?;
    let asked = parameters.precision();
    check(name.precision() == Some(asked), || {
        format!("the parameters ask for {asked}, and the engine `{engine}` computed otherwise")
    })
}

fn check_commitments(statement: &Statement, parameters: &Parameters) -> Result<(), StatementError> {
    let from_scratch = matches!(parameters, Parameters::Train(train) if train.architecture.is_some());
    check(
        statement.commitment_in.is_some() != from_scratch,
        || match from_scratch {
            true => "weights went in, and the parameters ask for a model from scratch".to_owned(),
            false => "no weights went in, and the parameters ask for a model that exists".to_owned(),
        },
    )?;
    let trains = statement.operation == Operation::Train;
    check(statement.commitment_out.is_some() == trains, || match trains {
        true => "a training made no weights".to_owned(),
        false => format!("weights came out, and the operation is {}", statement.operation),
    })?;
    check(
        !trains || statement.commitment_in != statement.commitment_out,
        || "the weights that came out are those that went in".to_owned(),
    )
}

fn check_outputs(outputs: &InputManifest) -> Result<(), StatementError> {
    for file in outputs.inputs() {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_plain = !file.name.is_empty() && !file.name.starts_with('.') && file.name.bytes().all(plain);
        check(is_plain, || {
            format!("the output `{}` has no plain file name", file.name)
        })?;
    }
    let in_order = outputs
        .inputs()
        .is_sorted_by(|before, after| before.name < after.name);
    check(in_order, || {
        "the outputs do not stand in order of their names, each once".to_owned()
    })
}

fn check_usage(operation: Operation, usage: &Usage) -> Result<(), StatementError> {
    let Usage {
        trained_tokens: trained,
        prompt_tokens: prompt,
        generated_tokens: generated,
        scored_tokens: scored,
    } = *usage;
    // A training also scores its held-out text.
    let (own, foreign) = match operation {
        Operation::Train => ([trained, 0], [prompt, generated, 0]),
        Operation::Infer => ([prompt, generated], [trained, scored, 0]),
        Operation::Evaluate => ([scored, 0], [trained, prompt, generated]),
    };
    check(foreign == [0; 3], || {
        format!("it counts tokens that the operation {operation} does not use")
    })?;
    check(own != [0; 2], || {
        format!("the operation {operation} used no tokens")
    })
}
