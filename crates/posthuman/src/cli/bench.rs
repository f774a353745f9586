//! `posthuman bench`.

use std::path::PathBuf;
use std::time::Instant;

use clap::{Subcommand, ValueEnum};
use posthuman_lm::{
    Arithmetic, Bf16Set, Config, Decoder, InstructionSet, LossMeter, Model, TrainOptions, Trainer,
    TrainingData, import_folder_model, import_gguf_model, likeliest,
};
use serde::Serialize;

use super::Wrong;
use super::folder::Directory;
use super::output::{Progress, Report, facts};

/// Measure the engine on this machine: tokens a second of one kind of work, the median of several runs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  posthuman bench train --model gpt2-124m --batch 4 --seq 256\n  posthuman bench train --precision bf16 --json\n  posthuman bench decode --model ./SmolLM2.Q4_1.gguf --precision native --seq 64 --tokens 128"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    work: Work,
}

#[derive(Debug, Subcommand)]
enum Work {
    /// Steps of a training: forward, backward and AdamW.
    #[command(after_help = "Example:\n  posthuman bench train --batch 1 --seq 1024")]
    Train(Shape),
    /// Forward pass and loss.
    #[command(after_help = "Example:\n  posthuman bench eval --batch 4 --seq 256 --threads 1")]
    Eval(Shape),
    /// Tokens generated one after the other, after a prompt of --seq tokens.
    #[command(after_help = "Example:\n  posthuman bench decode --seq 64 --tokens 128")]
    Decode(Shape),
    /// A prompt of --seq tokens read at once.
    #[command(after_help = "Example:\n  posthuman bench prefill --seq 512")]
    Prefill(Shape),
}

#[derive(Debug, clap::Args)]
struct Shape {
    /// gpt2-124m (random weights), a folder with Hugging Face's config.json and safetensors, or a GGUF file.
    #[arg(long, default_value = "gpt2-124m")]
    model: String,
    /// Precision of weights and arithmetic.
    #[arg(long, value_enum, default_value_t = Precision::Native)]
    precision: Precision,
    /// Sequences put through together, in training and evaluation.
    #[arg(long, default_value = "4", value_parser = at_least_one)]
    batch: usize,
    /// Tokens of a sequence or of the prompt.
    #[arg(long, default_value = "256", value_parser = at_least_one)]
    seq: usize,
    /// Tokens to generate in a run of `decode`.
    #[arg(long, default_value = "64", value_parser = at_least_one)]
    tokens: usize,
    /// Threads.
    #[arg(long, default_value = "2", value_parser = at_least_one)]
    threads: usize,
    /// Runs that count.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,
    /// Runs before them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(..=100_000))]
    warmup: u32,
    /// Instruction set; the best of the machine unless told.
    #[arg(long, value_enum)]
    instructions: Option<Instructions>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Precision {
    /// Weights and arithmetic in 32 bits.
    F32,
    /// Products in bf16, summed in 32 bits, with weights in 32 bits; of `decode`, weights in bf16 and arithmetic in 32.
    Bf16,
    /// Weights as they are stored, quantised ones in whole numbers.
    Native,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Instructions {
    /// What every machine of this kind has.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512.
    Avx512,
}

/// What was measured. Rates are tokens of the whole batch a second.
#[derive(Debug, Serialize)]
struct Measured {
    work: &'static str,
    model: String,
    /// What was asked for.
    precision: &'static str,
    /// In what products are computed, and bytes of the weights.
    arithmetic: &'static str,
    weight_bytes: u64,
    instructions: String,
    parameters: usize,
    tokens_per_second: f64,
    min: f64,
    max: f64,
    runs: u32,
    threads: usize,
    /// Largest resident memory of this process so far, where the system tells it.
    peak_rss_bytes: Option<u64>,
}

impl Args {
    pub(crate) fn run(self) -> anyhow::Result<Report> {
        let (name, shape) = match &self.work {
            Work::Train(shape) => ("train", shape),
            Work::Eval(shape) => ("eval", shape),
            Work::Decode(shape) => ("decode", shape),
            Work::Prefill(shape) => ("prefill", shape),
        };
        if let Some(instructions) = shape.instructions {
            instructions.set().choose()?;
        }
        let model = shape.precision.apply(shape.model()?, &self.work)?;
        shape.check(model.config().context)?;
        let (parameters, arithmetic) = (model.config().parameter_count(), model.arithmetic());
        let weight_bytes = model.parameter_bytes();
        let mut rates = match self.work {
            Work::Train(_) => shape.train(model)?,
            Work::Eval(_) => shape.evaluate(&model)?,
            Work::Decode(_) => shape.decode(&model)?,
            Work::Prefill(_) => shape.prefill(&model)?,
        };
        rates.sort_by(f64::total_cmp);
        report(&Measured {
            work: name,
            model: shape.model.clone(),
            precision: shape.precision.name(),
            arithmetic: arithmetic.name(),
            weight_bytes,
            instructions: format!("{:?}", InstructionSet::current()).to_lowercase(),
            parameters,
            tokens_per_second: median(&rates),
            min: rates[0],
            max: rates[rates.len() - 1],
            runs: shape.runs,
            threads: shape.threads,
            peak_rss_bytes: peak_memory(),
        })
    }
}

impl Shape {
    fn model(&self) -> anyhow::Result<Model> {
        if self.model == "gpt2-124m" {
            return Ok(Model::random(Config::gpt2(50_257, 1_024, 768, 12, 12)?, 1)?);
        }
        let path = PathBuf::from(&self.model);
        if path.extension().is_some_and(|extension| extension == "gguf") {
            let bytes = std::fs::read(&path)
                .map_err(|error| Wrong(format!("{} cannot be read ({error})", path.display())))?;
            return Ok(import_gguf_model(&bytes)?);
        }
        if !path.is_dir() {
            let problem = format!(
                "{} is neither a folder nor a `.gguf` file: --model takes gpt2-124m, a folder of Hugging Face files or \
                 a GGUF file",
                path.display()
            );
            return Err(Wrong(problem).into());
        }
        Ok(import_folder_model(&Directory(path))?)
    }

    /// Refuses what no model of this context can read, before anything of that size is made.
    fn check(&self, context: usize) -> anyhow::Result<()> {
        if self.seq.saturating_add(self.tokens) > context.saturating_mul(2) || self.seq > context {
            let problem = format!(
                "--seq {} and --tokens {} do not fit the model's context of {context} tokens",
                self.seq, self.tokens
            );
            return Err(Wrong(problem).into());
        }
        if self.batch.saturating_mul(self.seq) > 1 << 22 {
            let problem = format!(
                "--batch {} is too large: at most {} tokens together",
                self.batch,
                1 << 22
            );
            return Err(Wrong(problem).into());
        }
        Ok(())
    }

    /// Tokens in no order, the same in every run: numbers of a linear congruential generator (Knuth's MMIX).
    fn tokens(&self, model: &Model, count: usize) -> Vec<u32> {
        let vocabulary = model.config().vocabulary as u64;
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % vocabulary) as u32
        };
        (0..count).map(|_| next()).collect()
    }

    fn train(&self, model: Model) -> anyhow::Result<Vec<f64>> {
        let runs = self.warmup + self.runs;
        let options = TrainOptions {
            batch: self.batch,
            sequence: self.seq,
            steps: u64::from(runs),
            warmup_steps: 0,
            threads: self.threads,
            ..TrainOptions::default()
        };
        let tokens = self.tokens(&model, 4 * self.batch * self.seq + 1);
        let mut trainer = Trainer::new(model, TrainingData::from_tokens(tokens, vec![])?, options)?;
        self.timed(self.batch * self.seq, || Ok(trainer.step().map(drop)?))
    }

    fn evaluate(&self, model: &Model) -> anyhow::Result<Vec<f64>> {
        let tokens = self.tokens(model, self.batch * (self.seq + 1));
        let sequences: Vec<&[u32]> = tokens.chunks(self.seq + 1).collect();
        let mut meter = LossMeter::new(model, self.threads)?;
        self.timed(self.batch * self.seq, || Ok(meter.loss(&sequences).map(drop)?))
    }

    fn prefill(&self, model: &Model) -> anyhow::Result<Vec<f64>> {
        let tokens = self.tokens(model, self.seq);
        self.timed(self.seq, || {
            let mut decoder = Decoder::new(model, self.seq, self.threads)?;
            decoder.read(&tokens)?;
            Ok(())
        })
    }

    /// The prompt is read before the clock starts.
    fn decode(&self, model: &Model) -> anyhow::Result<Vec<f64>> {
        let runs = (self.warmup + self.runs) as usize;
        let tokens = self.tokens(model, self.seq);
        let capacity = self.seq + self.tokens;
        let mut rates = Vec::new();
        let mut progress = Progress::new();
        for run in 0..runs {
            let mut decoder = Decoder::new(model, capacity, self.threads)?;
            let mut logits = decoder.read(&tokens)?;
            let start = Instant::now();
            for _ in 0..self.tokens {
                logits = decoder.read(&[likeliest(&logits)])?;
            }
            rates.push(self.tokens as f64 / start.elapsed().as_secs_f64());
            progress.show(run as u64 + 1, runs as u64, "runs");
        }
        progress.finish();
        Ok(rates.split_off(self.warmup as usize))
    }

    /// Tokens a second of each run that counts, of work that goes through `tokens` at a time.
    fn timed(&self, tokens: usize, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Vec<f64>> {
        let runs = self.warmup + self.runs;
        let mut rates = Vec::new();
        let mut progress = Progress::new();
        for run in 0..runs {
            let start = Instant::now();
            work()?;
            rates.push(tokens as f64 / start.elapsed().as_secs_f64());
            progress.show(u64::from(run) + 1, u64::from(runs), "runs");
        }
        progress.finish();
        Ok(rates.split_off(self.warmup as usize))
    }
}

impl Precision {
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Native => "native",
        }
    }

    fn apply(self, model: Model, work: &Work) -> anyhow::Result<Model> {
        Ok(match (self, work) {
            (Self::F32, _) => model.into_f32(),
            (Self::Native, _) => model,
            (Self::Bf16, Work::Decode(_)) => model.rounded_to_bf16()?,
            (Self::Bf16, _) => model
                .into_f32()
                .with_arithmetic(Arithmetic::Bf16(Bf16Set::best()))?,
        })
    }
}

impl Instructions {
    fn set(self) -> InstructionSet {
        match self {
            Self::Portable => InstructionSet::Portable,
            Self::Avx2 => InstructionSet::Avx2,
            Self::Avx512 => InstructionSet::Avx512,
        }
    }
}

fn report(measured: &Measured) -> anyhow::Result<Report> {
    let memory = match measured.peak_rss_bytes {
        Some(bytes) => format!("{:.2} GB at most", bytes as f64 / 1e9),
        None => "not told by this system".to_owned(),
    };
    let text = facts(&[
        ("work", format!("{} of {}", measured.work, measured.model)),
        (
            "speed",
            format!(
                "{:.1} tokens/s, median of {} runs ({:.1} to {:.1})",
                measured.tokens_per_second, measured.runs, measured.min, measured.max
            ),
        ),
        (
            "with",
            format!(
                "{} precision (products in {}), {}, {} threads",
                measured.precision, measured.arithmetic, measured.instructions, measured.threads
            ),
        ),
        (
            "weights",
            format!(
                "{} in {:.2} GB",
                measured.parameters,
                measured.weight_bytes as f64 / 1e9
            ),
        ),
        ("memory", memory),
    ]);
    Report::new(text, measured)
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("give a whole number, 1 or more".to_owned()),
    }
}

/// The middle of sorted rates.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}

/// `VmHWM` of Linux, in bytes.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_nothing_is_not_measured() {
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
        assert_eq!(at_least_one("7"), Ok(7));
        assert!(at_least_one("0").is_err() && at_least_one("-1").is_err());
    }
}
