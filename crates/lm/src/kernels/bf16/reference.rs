//! The plain form of both specifications, one operation after another. The tests compare every path with it by its
//! bits, a machine is asked with it whether its instructions behave so, and the portable tile leaves to it what it
//! cannot do in vectors.

/// `value` rounded to bf16, as the upper half of an f32.
#[inline(always)]
pub(super) fn rounded(value: f32) -> u16 {
    let bits = value.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let nearest = (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16;
    if magnitude > f32::INFINITY.to_bits() {
        (bits >> 16) as u16 | 0x40
    } else if magnitude < f32::MIN_POSITIVE.to_bits() {
        (bits >> 16) as u16 & 0x8000
    } else {
        nearest
    }
}

/// A denormal becomes a zero of its sign.
#[inline(always)]
pub(super) fn flushed(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE {
        f32::from_bits(value.to_bits() & 0x8000_0000)
    } else {
        value
    }
}

/// a × b + c with one rounding, of numbers that are not denormal, where a and b are bf16; a denormal result becomes a
/// zero.
pub(super) fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    let result = a.mul_add(b, c);
    if result.abs() == f32::MIN_POSITIVE {
        // The rounding to a multiple of the smallest denormal may have made a normal number of one that a rounding to
        // 24 digits leaves denormal: what lies below the middle between the smallest normal number and the one that
        // would precede it. Exact in f64: the product has 16 digits, and c is at most a few powers of two from the
        // middle unless the product is too, far above.
        let middle = f64::from(f32::MIN_POSITIVE) * (1.0 - f64::from(f32::EPSILON) / 4.0);
        let sign = f64::from(result.signum());
        let product = f64::from(a) * f64::from(b) * sign;
        if product < middle - f64::from(c) * sign {
            return 0.0_f32.copysign(result);
        }
    }
    flushed(result)
}

/// One step of `bf16/amx`: the sum with the products of k in `a` and `b` added, 32 each.
pub(super) fn amx_step(sum: f32, a: impl Fn(usize) -> f32, b: impl Fn(usize) -> f32) -> f32 {
    let mut chains = [0.0; 2];
    for k in 0..super::STEP {
        chains[k % 2] = multiply_add(a(k), b(k), chains[k % 2]);
    }
    let [even, odd] = chains;
    flushed(sum + flushed(even + odd))
}

/// One step of `bf16/avx512`.
pub(super) fn avx512_step(mut sum: f32, a: impl Fn(usize) -> f32, b: impl Fn(usize) -> f32) -> f32 {
    for even in (0..super::STEP).step_by(2) {
        sum = multiply_add(a(even + 1), b(even + 1), sum);
        sum = multiply_add(a(even), b(even), sum);
    }
    sum
}

/// Row-major a `[rows, depth]` · b `[depth, columns]`.
pub(super) fn multiply(
    set: super::Bf16Set,
    target: &mut [f32],
    start: super::Start,
    (a, b): (&[f32], &[f32]),
    [rows, columns, depth]: [usize; 3],
) {
    let round = |value: &f32| f32::from_bits(u32::from(rounded(*value)) << 16);
    let (a, b): (Vec<f32>, Vec<f32>) = (a.iter().map(round).collect(), b.iter().map(round).collect());
    for (index, element) in target.iter_mut().enumerate().take(rows * columns) {
        let (row, column) = (index / columns, index % columns);
        for first in (0..depth).step_by(super::BLOCK) {
            let end = depth.min(first + super::BLOCK);
            let mut sum = 0.0;
            for step in (first..end).step_by(super::STEP) {
                let left = |k: usize| {
                    if step + k < end {
                        a[row * depth + step + k]
                    } else {
                        0.0
                    }
                };
                let right = |k: usize| {
                    if step + k < end {
                        b[(step + k) * columns + column]
                    } else {
                        0.0
                    }
                };
                sum = match set {
                    super::Bf16Set::Avx512Bf16 => avx512_step(sum, left, right),
                    super::Bf16Set::Portable | super::Bf16Set::Amx => amx_step(sum, left, right),
                };
            }
            *element = if first == 0 && start == super::Start::Zero {
                sum
            } else {
                *element + sum
            };
        }
    }
}
