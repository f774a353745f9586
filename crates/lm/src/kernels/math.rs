//! The exponential and what follows from it.

/// Adding and subtracting this rounds an f32 below 2^22 to the nearest integer, and leaves it in the low bits.
const ROUND: f32 = 12_582_912.0;

/// e^x within 2 units in the last place for -87.3 <= x <= 88; 0 below, e^88 above, NaN for NaN.
///
/// Cody-Waite reduction to |r| <= ln 2 / 2 and the polynomial of Cephes' `expf` (Moshier), without fused operations
/// so that the bits do not depend on where it is compiled for.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts; the first has few enough bits that its products with whole numbers are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const SMALLEST: f32 = -87.3;
    let clamped = if x > 88.0 { 88.0 } else { x };
    let clamped = if clamped < SMALLEST { SMALLEST } else { clamped };
    let shifted = clamped * LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = (clamped - whole * LN_2_HIGH) - whole * LN_2_LOW;
    let mut sum = 1.987_569_1e-4;
    sum = sum * rest + 1.398_2e-3;
    sum = sum * rest + 8.333_452e-3;
    sum = sum * rest + 4.166_579_6e-2;
    sum = sum * rest + 0.166_666_65;
    sum = sum * rest + 0.5;
    let fraction = sum * (rest * rest) + rest + 1.0;
    let exponent = shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    let value = fraction * f32::from_bits(exponent);
    if x < SMALLEST { 0.0 } else { value }
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// √(2/π), of GELU's tanh form.
const GELU_SCALE: f32 = 0.797_884_6;
const GELU_CUBE: f32 = 0.044_715;

/// GELU in its tanh form (Hendrycks and Gimpel, arXiv 1606.08415), as GPT-2 has it: `gelu_new`.
///
/// ½x(1 + tanh u) is written as x·sigmoid(2u), the same function without a tanh.
#[inline(always)]
pub(crate) fn gelu(x: f32) -> f32 {
    x * sigmoid(gelu_argument(x))
}

/// The derivative of [`gelu`] at `x`.
#[inline(always)]
pub(crate) fn gelu_slope(x: f32) -> f32 {
    let gate = sigmoid(gelu_argument(x));
    let slope = 2.0 * GELU_SCALE * (1.0 + 3.0 * GELU_CUBE * (x * x));
    gate + x * (gate * (1.0 - gate)) * slope
}

#[inline(always)]
fn gelu_argument(x: f32) -> f32 {
    2.0 * GELU_SCALE * (x + GELU_CUBE * (x * (x * x)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_everywhere() {
        let mut worst = 0.0_f64;
        for step in 0..200_000 {
            let x = -87.0 + 175.0 * (step as f32 / 200_000.0);
            let expected = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - expected).abs() / expected);
        }
        assert!(worst < 2.4e-7, "relative error {worst}");
    }

    #[test]
    fn exp_at_its_borders() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!(exp(-100.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(f32::INFINITY).is_finite());
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn gelu_matches_its_tanh_form_and_slope_its_difference() {
        let expected = |x: f64| 0.5 * x * (1.0 + (0.797_884_560_8 * (x + 0.044_715 * x * x * x)).tanh());
        for step in -400..=400 {
            let x = step as f32 / 40.0;
            let wide = f64::from(x);
            assert!((f64::from(gelu(x)) - expected(wide)).abs() < 2e-6, "gelu({x})");
            let slope = (expected(wide + 1e-5) - expected(wide - 1e-5)) / 2e-5;
            assert!((f64::from(gelu_slope(x)) - slope).abs() < 3e-6, "slope({x})");
        }
    }
}
