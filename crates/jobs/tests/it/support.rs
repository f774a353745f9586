//! A vault, an engine and small jobs.

#[path = "../../../lm/tests/it/gguf/quantised_file.rs"]
mod quantised_file;
#[path = "../../../lm/tests/it/gguf/writer.rs"]
mod writer;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use posthuman_jobs::engine::local::{
    Event, Finished, ImportSpec, Imported, Launch, LocalEngine, LocalEngineOptions, Outcome, RunningJob,
    Task, TimedEvent,
};
use posthuman_jobs::rerun::{Rerun, rerun};
use posthuman_jobs::stage::{Source, StageInput};
use posthuman_jobs::vault::{MasterKey, ObjectKind, Password, Vault};
use posthuman_lm::{Config, Model, Tokenizer};
use posthuman_proofs::compare;
use posthuman_types::{
    Architecture, Commitment, EvaluateParameters, InferParameters, Input, InputManifest, JobId, JobSpec,
    Limits, ObjectId, Operation, Parameters, Precision, Publication, Statement, TrainParameters, keccak256,
};
use tempfile::TempDir;

pub const WORKER: &str = env!("CARGO_BIN_EXE_posthuman-worker-for-tests");
/// A GGUF file that another program wrote.
const TINY: &[u8] = include_bytes!("../../../lm/tests/fixtures/gguf/llama_tiny.gguf");
pub const LIMITS: Limits = Limits {
    memory_bytes: 4 << 30,
    cpu_seconds: 300,
};

/// A folder with a vault and an engine on it.
pub struct Bench {
    pub folder: TempDir,
    pub vault: Arc<Vault>,
    pub engine: LocalEngine,
    pub events: Arc<Mutex<Vec<TimedEvent>>>,
}

pub fn password() -> Password {
    Password::from_text("p".to_owned()).unwrap()
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = MasterKey::create(&folder.path().join("key"), &password()).unwrap();
        let vault = Arc::new(Vault::open(&folder.path().join("vault"), key, None).unwrap());
        let options = LocalEngineOptions {
            executable: WORKER.into(),
            jobs: folder.path().join("jobs"),
            sandbox: true,
        };
        let engine = LocalEngine::new(Arc::clone(&vault), options);
        Self {
            folder,
            vault,
            engine,
            events: Arc::default(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn start(&self, launch: Launch) -> RunningJob {
        let events = Arc::clone(&self.events);
        self.engine
            .start(launch, move |event| events.lock().unwrap().push(event))
            .unwrap()
    }

    pub fn run(&self, launch: Launch) -> Outcome {
        self.start(launch).wait_blocking().unwrap()
    }

    pub fn finish(&self, launch: Launch) -> Finished {
        match self.run(launch) {
            Outcome::Finished(finished) => finished,
            other => panic!("{other:?}"),
        }
    }

    /// Trains the small model from scratch and commits it.
    pub fn base_model(&self) -> (ObjectId, Commitment) {
        let finished = self.finish(job(
            train(Some(architecture()), 4),
            &[("text", &text(1, 400))],
            None,
        ));
        let object = finished.result.unwrap();
        self.vault.commit(object).unwrap();
        (object, finished.statement.commitment_out.unwrap())
    }

    /// Imports a model from its files.
    pub fn import(&self, model: &Model, tokenizer: &Tokenizer, safetensors: &[u8]) -> Outcome {
        let config = model.config().to_json();
        let inputs = vec![
            input("config.json", config.as_bytes()),
            input("tokenizer.json", tokenizer.to_json()),
        ];
        self.import_files(
            Input::describe("model.safetensors", safetensors),
            safetensors,
            inputs,
        )
    }

    /// Imports weights, described as said, with files beside them.
    pub fn import_files(&self, described: Input, weights: &[u8], inputs: Vec<StageInput>) -> Outcome {
        let mut writer = self.vault.writer(ObjectKind::Upload).unwrap();
        writer.write_all(weights).unwrap();
        let upload = writer.finish().unwrap();
        let manifest = InputManifest::new(inputs.iter().map(|input| input.input.clone()).collect());
        self.run(Launch {
            task: Task::Import(ImportSpec {
                inputs: manifest,
                weights: described,
                limits: LIMITS,
            }),
            model: Some(upload),
            inputs,
            checkpoint: None,
            checkpoint_every: 0,
            allowance: None,
            deadline: None,
        })
    }

    /// Imports a model of every type of block and commits it.
    pub fn quantised_model(&self) -> Imported {
        self.model_of_file(&quantised_file::file(TINY, &[]))
    }

    /// The same without Q6_K, whose negative scales make negative zeros.
    pub fn quantised_model_without_negative_zeros(&self) -> Imported {
        let tensors = quantised_file::TENSORS
            .map(|(name, rows, columns, kind)| (name, rows, columns, if kind == 14 { 8 } else { kind }));
        self.model_of_file(&quantised_file::file_of(TINY, &[], tensors))
    }

    fn model_of_file(&self, file: &[u8]) -> Imported {
        let described = Input::describe("model.gguf", file);
        let Outcome::Imported(imported) = self.import_files(described, file, vec![]) else {
            panic!("imported")
        };
        self.vault.commit(imported.object).unwrap();
        imported
    }

    pub fn checkpoints(&self) -> Vec<(ObjectId, u32)> {
        let events = self.events.lock().unwrap();
        let checkpoint = |event: &TimedEvent| match event.event {
            Event::Checkpoint { object, step } => Some((object, step)),
            Event::Progress(_) => None,
        };
        events.iter().filter_map(checkpoint).collect()
    }
}

/// A model of an engine's own making, as if it came from elsewhere.
pub fn small_model() -> (Model, Tokenizer) {
    let tokenizer = Tokenizer::train(&[&text(9, 300)], 300).unwrap();
    (
        Model::random(Config::gpt2(300, 16, 16, 1, 2).unwrap(), 1).unwrap(),
        tokenizer,
    )
}

pub fn architecture() -> Architecture {
    Architecture {
        layers: 2,
        heads: 2,
        width: 32,
        context: 32,
        vocabulary: 320,
    }
}

pub fn train(architecture: Option<Architecture>, steps: u32) -> Parameters {
    Parameters::Train(TrainParameters {
        publication: Publication {
            name: "Small".to_owned(),
            description: String::new(),
            author: "Alice".to_owned(),
            license: "CC0-1.0".to_owned(),
            parent_share_bps: Some(2000),
            price: None,
        },
        architecture,
        steps,
        batch: 2,
        sequence: 16,
        accumulate: 1,
        learning_rate: 0.01,
        minimum_learning_rate: 0.001,
        warmup_steps: 1,
        weight_decay: 0.1,
        beta1: 0.9,
        beta2: 0.95,
        clip: 1.0,
        evaluate_every: 2,
        seed: 11,
        precision: Precision::F32,
    })
}

pub fn infer(maximum_tokens: u32) -> Parameters {
    let stop = vec![];
    Parameters::Infer(InferParameters {
        maximum_tokens,
        temperature: 0.8,
        top_k: 20,
        top_p: 0.95,
        stop,
        seed: 3,
        chat: false,
    })
}

pub fn evaluate() -> Parameters {
    Parameters::Evaluate(EvaluateParameters {
        bootstrap_samples: 100,
        seed: 5,
        precision: Precision::F32,
    })
}

/// The same parameters, computed in bf16.
pub fn in_bf16(mut parameters: Parameters) -> Parameters {
    match &mut parameters {
        Parameters::Train(train) => train.precision = Precision::Bf16,
        Parameters::Infer(_) => unreachable!("inference is in f32 alone"),
        Parameters::Evaluate(evaluate) => evaluate.precision = Precision::Bf16,
    }
    parameters
}

/// A text of so many words, different for each seed, which says no more than it must.
pub fn text(seed: u64, words: usize) -> String {
    const WORDS: [&str; 12] = [
        "the ", "sea ", "whale ", "and ", "a ", "ship ", "of ", "old ", "sail ", "wind ", "under ", "sky.\n",
    ];
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        WORDS[(state >> 33) as usize % WORDS.len()]
    };
    (0..words).map(|_| next()).collect()
}

pub fn input(name: &str, bytes: &[u8]) -> StageInput {
    StageInput {
        input: Input::describe(name, bytes),
        source: Source::Bytes(bytes.to_vec()),
    }
}

/// A launch of a job whose id follows from what it is.
pub fn job(
    parameters: Parameters,
    inputs: &[(&str, &str)],
    model: Option<&(ObjectId, Commitment)>,
) -> Launch {
    let inputs: Vec<StageInput> = inputs
        .iter()
        .map(|(name, text)| input(name, text.as_bytes()))
        .collect();
    job_of(parameters.operation(), parameters.to_canonical(), inputs, model)
}

pub fn job_of(
    operation: Operation,
    parameters: String,
    inputs: Vec<StageInput>,
    model: Option<&(ObjectId, Commitment)>,
) -> Launch {
    let manifest = InputManifest::new(inputs.iter().map(|input| input.input.clone()).collect());
    let mut id = [0; 16];
    id.copy_from_slice(&keccak256([manifest.digest().as_slice(), parameters.as_bytes()].concat())[..16]);
    let spec = JobSpec {
        version: 1,
        job_id: JobId(id),
        operation,
        parameters,
        inputs: manifest,
        commitment: model.map(|(_, commitment)| commitment.clone()),
        engine: None,
        threads: 2,
        limits: LIMITS,
    };
    Launch {
        task: Task::Job(spec),
        model: model.map(|(object, _)| *object),
        inputs,
        checkpoint: None,
        checkpoint_every: 0,
        allowance: None,
        deadline: Some(Duration::from_secs(120)),
    }
}

pub fn spec(launch: &Launch) -> JobSpec {
    match &launch.task {
        Task::Job(spec) => spec.clone(),
        other => panic!("{other:?}"),
    }
}

/// Waits until something has happened.
pub fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let started = Instant::now();
    while !ready() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "waited in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a worker on a job in this folder is running.
pub fn worker_of(folder: &Path) -> bool {
    let jobs = folder.join("jobs").to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    lines
        .into_iter()
        .any(|line| String::from_utf8_lossy(&line).contains(&jobs))
}

/// All files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Runs a job again from a vault that is open for reading alone, and compares.
pub fn run_again(
    bench: &Bench,
    launch: &Launch,
    result: Option<ObjectId>,
    statement: &Statement,
    threads: &[u16],
) {
    let key = MasterKey::open(&bench.path("key"), &password()).unwrap();
    let vault = Vault::open_read_only(&bench.path("vault"), key).unwrap();
    for threads in threads {
        let again = Rerun {
            executable: WORKER.into(),
            spec: spec(launch),
            engine: statement.engine.clone(),
            model: launch.model,
            result,
            inputs: launch.inputs.clone(),
            threads: *threads,
            scratch: bench.path("scratch"),
            sandbox: true,
        };
        let second = rerun(&vault, &again).unwrap();
        compare(statement, &second).unwrap();
        assert!(
            std::fs::read_dir(bench.path("scratch")).unwrap().next().is_none(),
            "the folder is gone"
        );
    }
    assert!(
        bench.vault.pending().unwrap().is_empty(),
        "a re-run leaves nothing in the vault"
    );
}
