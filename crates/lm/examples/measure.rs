//! Trains on one text, looks at a held-out one, and says how fast it went and what it is worth.
//!
//! ```text
//! cargo run -p posthuman-lm --example measure -- TRAINING.txt HELD_OUT.txt [key=value ...]
//! ```
//! Keys with their defaults: vocabulary=2048 context=128 width=128 layers=4 heads=4 batch=8 steps=200 rate=3e-3
//! minimum=3e-4 warmup=50 decay=0.1 threads=2 seed=1, and `save=FILE` / `load=FILE` for a bundle to keep or to
//! fine-tune. Given a loaded bundle, the result is compared with it.
#![allow(clippy::print_stdout)]

use std::collections::HashMap;
use std::error::Error;
use std::ops::ControlFlow;
use std::time::Instant;

use posthuman_lm::{
    Bundle, Config, EvaluateOptions, Model, OrderTwoModel, Sampling, Tokenizer, TrainOptions, Trainer,
    TrainingData, bootstrap_bits_per_byte, evaluate, generate, gzip_bits_per_byte, paired_difference,
};

struct Settings(HashMap<String, String>);

impl Settings {
    fn get<T: std::str::FromStr>(&self, key: &str, default: T) -> T {
        self.0
            .get(key)
            .and_then(|value| value.parse().ok())
            .unwrap_or(default)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [training, held_out, rest @ ..] = arguments.as_slice() else {
        return Err("two texts are needed".into());
    };
    let pairs = rest.iter().filter_map(|pair| pair.split_once('='));
    let settings = Settings(
        pairs
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
    );
    let (training, held_out) = (
        std::fs::read_to_string(training)?,
        std::fs::read_to_string(held_out)?,
    );
    let parent = match settings.0.get("load") {
        Some(path) => Some(Bundle::from_bytes(&std::fs::read(path)?)?),
        None => None,
    };
    let child = train(&settings, parent.clone(), &training, &held_out)?;
    if let Some(path) = settings.0.get("save") {
        std::fs::write(path, child.to_bytes()?)?;
    }
    compare(&settings, &child, parent.as_ref(), &training, &held_out)
}

fn train(
    settings: &Settings,
    parent: Option<Bundle>,
    training: &str,
    held_out: &str,
) -> Result<Bundle, Box<dyn Error>> {
    let (model, tokenizer) = match parent {
        Some(parent) => parent.into_parts(),
        None => {
            let start = Instant::now();
            let tokenizer = Tokenizer::train(&[training], settings.get("vocabulary", 2048))?;
            println!(
                "tokenizer: {} tokens in {:.1?}",
                tokenizer.vocabulary(),
                start.elapsed()
            );
            let config = Config::gpt2(
                settings.get("vocabulary", 2048),
                settings.get("context", 128),
                settings.get("width", 128),
                settings.get("layers", 4),
                settings.get("heads", 4),
            )?;
            (Model::random(config, settings.get("seed", 1))?, tokenizer)
        }
    };
    let options = TrainOptions {
        batch: settings.get("batch", 8),
        sequence: model.config().context,
        steps: settings.get("steps", 200),
        learning_rate: settings.get("rate", 3e-3),
        minimum_learning_rate: settings.get("minimum", 3e-4),
        warmup_steps: settings.get("warmup", 50),
        weight_decay: settings.get("decay", 0.1),
        threads: settings.get("threads", 2),
        seed: settings.get("seed", 1),
        evaluate_every: settings.get("look", 100),
        ..TrainOptions::default()
    };
    let data = TrainingData::from_documents(&tokenizer, &[training], &[held_out])?;
    println!("{} parameters, {data:?}", model.config().parameter_count());
    let mut trainer = Trainer::new(model, data, options)?;
    let (mut seconds, mut tokens) = (0.0, 0);
    while !trainer.finished() {
        let start = Instant::now();
        let report = trainer.step()?;
        if let Some(held_out) = report.held_out_loss {
            println!(
                "step {}: loss {:.4}, held out {held_out:.4}, {} tokens",
                report.step, report.loss, report.tokens
            );
        } else {
            seconds += start.elapsed().as_secs_f64();
            tokens += trainer.options().tokens_per_step();
        }
    }
    println!("training: {:.0} tokens/s", tokens as f64 / seconds);
    Ok(Bundle::new(trainer.into_model(), tokenizer)?)
}

fn compare(
    settings: &Settings,
    child: &Bundle,
    parent: Option<&Bundle>,
    training: &str,
    held_out: &str,
) -> Result<(), Box<dyn Error>> {
    let options = EvaluateOptions {
        threads: settings.get("threads", 2),
        ..EvaluateOptions::default()
    };
    let start = Instant::now();
    let score = evaluate(child, held_out, &options, |_, _| ControlFlow::Continue(()))?;
    let interval = bootstrap_bits_per_byte(&score.segments, 1000, 1)?;
    println!(
        "model: {:.4} bits/byte [{:.4}, {:.4}], accuracy {:.3}, perplexity {:.1}, {} tokens in {:.1?}",
        score.bits_per_byte,
        interval.low,
        interval.high,
        score.accuracy,
        score.perplexity,
        score.tokens,
        start.elapsed()
    );
    let baseline = OrderTwoModel::fit(&[training])?.evaluate(held_out)?;
    let against = paired_difference(&score.segments, &baseline.segments, 1000, 1)?;
    println!(
        "order-2 bytes: {:.4}, difference {against:?}",
        baseline.bits_per_byte
    );
    println!("gzip: {:.4}", gzip_bits_per_byte(training, held_out)?);
    if let Some(parent) = parent {
        let before = evaluate(parent, held_out, &options, |_, _| ControlFlow::Continue(()))?;
        let against = paired_difference(&score.segments, &before.segments, 1000, 1)?;
        println!("parent: {:.4}, difference {against:?}", before.bits_per_byte);
    }
    let prompt = child.tokenizer().encode("The ship was")?;
    let sampling = Sampling {
        temperature: 0.8,
        top_k: 40,
        seed: 1,
        maximum_tokens: 60,
        ..Sampling::default()
    };
    let start = Instant::now();
    let text = generate(child, &prompt, &sampling, 2, |_, _| ControlFlow::Continue(()))?;
    println!(
        "{:.0} tokens/s: The ship was{}",
        text.tokens.len() as f64 / start.elapsed().as_secs_f64(),
        text.text
    );
    Ok(())
}
