//! GPT-2 in f64, as plainly as its definition.

use crate::config::Gpt2Config;
use crate::layout::Layout;

/// The loss of one batch in f64, straight from the definition of GPT-2. Parameters are laid out as the model's.
pub(super) fn loss(
    config: &Gpt2Config,
    parameters: &[f64],
    tokens: &[u32],
    targets: &[u32],
    length: usize,
) -> f64 {
    let layout = Layout::new(config);
    let sequences = tokens.chunks(length).zip(targets.chunks(length));
    let nats: f64 = sequences
        .map(|(tokens, targets)| sequence(config, &layout, parameters, tokens, targets))
        .sum();
    nats / tokens.len() as f64
}

fn sequence(config: &Gpt2Config, layout: &Layout, p: &[f64], tokens: &[u32], targets: &[u32]) -> f64 {
    let width = config.n_embd;
    let mut stream: Vec<Vec<f64>> = tokens
        .iter()
        .enumerate()
        .map(|(position, &token)| {
            let (e, w) = (
                &p[layout.wte.clone()][token as usize * width..],
                &p[layout.wpe.clone()][position * width..],
            );
            (0..width).map(|index| e[index] + w[index]).collect()
        })
        .collect();
    for block in &layout.blocks {
        let normed = rows(&stream, |row| {
            norm(
                config,
                row,
                &p[block.ln_1_weight.clone()],
                &p[block.ln_1_bias.clone()],
            )
        });
        let joined = rows(&normed, |row| {
            linear(
                row,
                &p[block.c_attn_weight.clone()],
                &p[block.c_attn_bias.clone()],
            )
        });
        let found = attention(config, &joined);
        let out = rows(&found, |row| {
            linear(
                row,
                &p[block.attn_proj_weight.clone()],
                &p[block.attn_proj_bias.clone()],
            )
        });
        stream = add(&stream, &out);
        let normed = rows(&stream, |row| {
            norm(
                config,
                row,
                &p[block.ln_2_weight.clone()],
                &p[block.ln_2_bias.clone()],
            )
        });
        let inner = rows(&normed, |row| {
            let sums = linear(row, &p[block.c_fc_weight.clone()], &p[block.c_fc_bias.clone()]);
            let scale = (2.0 / std::f64::consts::PI).sqrt();
            sums.iter()
                .map(|x| 0.5 * x * (1.0 + (scale * (x + 0.044715 * x * x * x)).tanh()))
                .collect()
        });
        let out = rows(&inner, |row| {
            linear(
                row,
                &p[block.mlp_proj_weight.clone()],
                &p[block.mlp_proj_bias.clone()],
            )
        });
        stream = add(&stream, &out);
    }
    stream
        .iter()
        .zip(targets)
        .map(|(row, &target)| {
            let normed = norm(
                config,
                row,
                &p[layout.ln_f_weight.clone()],
                &p[layout.ln_f_bias.clone()],
            );
            let logits: Vec<f64> = p[layout.wte.clone()]
                .chunks(width)
                .map(|e| e.iter().zip(&normed).map(|(a, b)| a * b).sum())
                .collect();
            logits.iter().map(|logit| logit.exp()).sum::<f64>().ln() - logits[target as usize]
        })
        .sum()
}

fn rows(input: &[Vec<f64>], f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<Vec<f64>> {
    input.iter().map(|row| f(row)).collect()
}

fn add(one: &[Vec<f64>], other: &[Vec<f64>]) -> Vec<Vec<f64>> {
    one.iter()
        .zip(other)
        .map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect())
        .collect()
}

fn norm(config: &Gpt2Config, row: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let mean = row.iter().sum::<f64>() / row.len() as f64;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / row.len() as f64;
    let scale = 1.0 / (variance + f64::from(config.layer_norm_epsilon)).sqrt();
    row.iter()
        .zip(weight.iter().zip(bias))
        .map(|(x, (w, b))| (x - mean) * scale * w + b)
        .collect()
}

fn linear(row: &[f64], weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let outer = bias.len();
    (0..outer)
        .map(|o| {
            bias[o]
                + row
                    .iter()
                    .enumerate()
                    .map(|(i, x)| x * weight[i * outer + o])
                    .sum::<f64>()
        })
        .collect()
}

fn attention(config: &Gpt2Config, joined: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let (width, head_width) = (config.n_embd, config.head_width());
    (0..joined.len())
        .map(|position| {
            let mut found = vec![0.0; width];
            for head in 0..config.n_head {
                let column = head * head_width;
                let dot = |other: usize| -> f64 {
                    (column..column + head_width)
                        .map(|c| joined[position][c] * joined[other][width + c])
                        .sum()
                };
                let powers: Vec<f64> = (0..=position)
                    .map(|other| (dot(other) / (head_width as f64).sqrt()).exp())
                    .collect();
                let total: f64 = powers.iter().sum();
                for c in column..column + head_width {
                    found[c] = (0..=position)
                        .map(|other| powers[other] / total * joined[other][2 * width + c])
                        .sum();
                }
            }
            found
        })
        .collect()
}
