//! No piece of weights in any file.

use std::collections::HashSet;
use std::fs;

use posthuman_jobs::engine::local::Launch;
use posthuman_lm::Bundle;

use crate::support::{Bench, architecture, evaluate, files, infer, job, text, train};

/// Length of the windows of tensor bytes that are looked for.
const WINDOW: usize = 16;

#[test]
fn no_window_of_any_tensor_is_in_any_file() {
    let bench = Bench::new();
    let launch = job(
        train(Some(architecture()), 12),
        &[("text", &text(1, 400)), ("held_out", &text(2, 60))],
        None,
    );
    let finished = bench.finish(Launch {
        checkpoint_every: 3,
        ..launch
    });
    let model = (
        finished.result.unwrap(),
        finished.statement.commitment_out.unwrap(),
    );
    bench.vault.commit(model.0).unwrap();
    let child = bench.finish(job(train(None, 2), &[("text", &text(3, 300))], Some(&model)));
    bench.vault.commit(child.result.unwrap()).unwrap();
    bench.finish(job(infer(8), &[("prompt", "the sea")], Some(&model)));
    bench.finish(job(evaluate(), &[("text", &text(2, 60))], Some(&model)));
    let imported = bench.quantised_model();
    let quantised = (imported.object, imported.commitment);
    bench.finish(job(infer(8), &[("prompt", "a cat")], Some(&quantised)));
    bench.finish(job(
        evaluate(),
        &[("text", "a cat sat on a mat")],
        Some(&quantised),
    ));

    let mut windows = HashSet::new();
    for object in [model.0, child.result.unwrap(), quantised.0] {
        let bundle = Bundle::from_bytes(&bench.vault.read(object, u64::MAX).unwrap()).unwrap();
        for tensor in bundle.tensors() {
            add_windows(&mut windows, &tensor.values());
            if tensor.kind.is_quantised() {
                let mut blocks = Vec::new();
                tensor.bytes(&mut |piece| blocks.extend_from_slice(piece));
                add_bytes(&mut windows, blocks);
            }
        }
    }
    assert!(windows.len() > 10_000);
    let mut seen = 0;
    for path in files(bench.folder.path()) {
        let bytes = fs::read(&path).unwrap();
        seen += bytes.len();
        let found = bytes
            .windows(WINDOW)
            .find(|window| windows.contains(&number(window)));
        assert!(found.is_none(), "{} holds a piece of a tensor", path.display());
    }
    assert!(
        seen > 100_000,
        "the sealed weights at least are among what was looked at"
    );

    // The search finds what is there to be found.
    for object in [model.0, quantised.0] {
        let open = bench.vault.read(object, u64::MAX).unwrap();
        let mut found = open.windows(WINDOW).map(number);
        assert!(found.any(|window| windows.contains(&window)));
    }
}

/// All windows of a tensor in f32, bf16 and f16; raw, in hexadecimal and in base64 at each of its three alignments.
fn add_windows(windows: &mut HashSet<u128>, values: &[f32]) {
    let single: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let brain: Vec<u8> = values
        .iter()
        .flat_map(|value| ((value.to_bits() >> 16) as u16).to_le_bytes())
        .collect();
    let half: Vec<u8> = values
        .iter()
        .flat_map(|value| to_half(*value).to_le_bytes())
        .collect();
    for raw in [single, brain, half] {
        add_bytes(windows, raw);
    }
}

/// All windows of these bytes; raw, in hexadecimal and in base64.
fn add_bytes(windows: &mut HashSet<u128>, raw: Vec<u8>) {
    let mut encodings = vec![hexadecimal(&raw)];
    encodings.extend((0..3).map(|skip| base64(&raw[skip.min(raw.len())..])));
    encodings.push(raw);
    for encoded in encodings {
        windows.extend(
            encoded
                .windows(WINDOW)
                .filter(|window| is_telling(window))
                .map(number),
        );
    }
}

/// Whether a window has more than four different bytes: others are in any file.
fn is_telling(window: &[u8]) -> bool {
    let different = (0..window.len()).filter(|&place| !window[..place].contains(&window[place]));
    different.count() > 4
}

/// The bytes of a window as one number.
fn number(window: &[u8]) -> u128 {
    u128::from_le_bytes(window.try_into().unwrap())
}

/// IEEE 754 half precision of a number of ordinary size, cut off: what a leak in that format would most likely be.
fn to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let exponent = ((bits >> 23) & 0xff) as i32 - 127 + 15;
    let sign = (bits >> 16) & 0x8000;
    match exponent {
        1..=30 => (sign | (exponent as u32) << 10 | (bits >> 13) & 0x3ff) as u16,
        _ => sign as u16,
    }
}

fn hexadecimal(bytes: &[u8]) -> Vec<u8> {
    bytes
        .iter()
        .flat_map(|byte| format!("{byte:02x}").into_bytes())
        .collect()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8; 3]| {
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift) as usize & 63])
    };
    bytes.as_chunks::<3>().0.iter().flat_map(group).collect()
}
