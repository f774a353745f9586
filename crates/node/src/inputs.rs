//! Inputs of jobs: complete uploads of the consumer, and the prompt of an inference turn.

use posthuman_jobs::stage::{Source, StageInput};
use posthuman_store::{JobInput, JobRow};
use posthuman_types::api::InputReference;
use posthuman_types::{Address, Input, InputManifest, Operation};

use crate::error::{ErrorCode, NodeError};
use crate::node::Node;
use crate::uploads::seal;

/// Inputs that lie in the vault.
pub(crate) struct StagedInputs {
    pub manifest: InputManifest,
    pub objects: Vec<JobInput>,
}

impl StagedInputs {
    /// As the engine takes them.
    pub(crate) fn stage(&self) -> Vec<StageInput> {
        stage(&self.manifest, &self.objects)
    }
}

/// The inputs of a job as the engine takes them.
pub(crate) fn stage_of(job: &JobRow) -> Vec<StageInput> {
    stage(&job.spec.inputs, &job.inputs)
}

fn stage(manifest: &InputManifest, objects: &[JobInput]) -> Vec<StageInput> {
    let source = |name: &str| {
        objects
            .iter()
            .find(|input| input.name == name)
            .map(|input| input.object)
    };
    let inputs = manifest.inputs().iter();
    inputs
        .filter_map(|input| {
            Some(StageInput {
                input: input.clone(),
                source: Source::Object(source(&input.name)?),
            })
        })
        .collect()
}

/// Names of the inputs of an operation; the first is required.
fn names_of(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::Train => &["text", "held_out"],
        Operation::Infer => &[],
        Operation::Evaluate => &["text"],
    }
}

impl Node {
    /// The inputs that references name, checked to belong to the owner and to have arrived.
    pub(crate) async fn staged_inputs(
        &self,
        owner: Address,
        operation: Operation,
        references: &[InputReference],
    ) -> Result<StagedInputs, NodeError> {
        let names = names_of(operation);
        let mut inputs = Vec::new();
        let mut objects = Vec::new();
        for reference in references {
            let repeated = inputs.iter().any(|input: &Input| input.name == reference.name);
            if repeated || !names.contains(&reference.name.as_str()) {
                let message = format!(
                    "`{}` is not an input of {operation}, or is named twice: its inputs are [{}].",
                    reference.name,
                    names.join(", ")
                );
                return Err(NodeError::rejected(ErrorCode::ParametersInvalid, message));
            }
            let upload = self.stored_upload(owner, reference.upload).await?;
            inputs.push(upload.input(&reference.name));
            objects.push(JobInput {
                name: reference.name.clone(),
                object: upload.object,
            });
        }
        if let Some(required) = names
            .first()
            .filter(|name| !objects.iter().any(|input| input.name == **name))
        {
            let message =
                format!("The input `{required}` of {operation} is missing: upload the text and name it.");
            return Err(NodeError::rejected(ErrorCode::TextMissing, message));
        }
        Ok(StagedInputs {
            manifest: InputManifest::new(inputs),
            objects,
        })
    }

    /// Seals a prompt as the one input of an inference turn.
    pub(crate) async fn stage_prompt(&self, prompt: &str) -> Result<StagedInputs, NodeError> {
        let input = Input::describe("prompt", prompt.as_bytes());
        let object = seal(&self.vault, prompt.to_owned().into()).await?;
        let objects = vec![JobInput {
            name: "prompt".to_owned(),
            object,
        }];
        Ok(StagedInputs {
            manifest: InputManifest::new(vec![input]),
            objects,
        })
    }
}
