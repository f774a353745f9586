//! Every path of both specifications against the reference, by its bits.

use half::bf16;

use super::super::instructions::tests::with_each;
use super::super::reference::numbers;
use super::*;
use crate::threads;

const SETS: [Bf16Set; 3] = [Bf16Set::Portable, Bf16Set::Avx512Bf16, Bf16Set::Amx];

/// Rows, columns and depth around the borders of all paths.
const SHAPES: [[usize; 3]; 21] = [
    [1, 1, 1],
    [1, 5, 3],
    [7, 1, 300],
    [1, 300, 257],
    [2, 129, 2],
    [3, 100, 7],
    [16, 16, 64],
    [16, 17, 64],
    [14, 32, 32],
    [15, 33, 31],
    [32, 32, 512],
    [31, 33, 513],
    [64, 64, 33],
    [97, 131, 61],
    [33, 20, 2048],
    [20, 33, 2049],
    [45, 257, 768],
    [257, 40, 95],
    [300, 200, 70],
    [1400, 33, 5],
    [3, 470, 2600],
];

fn transpose<N: Number>(values: &[N], rows: usize, columns: usize) -> Vec<N> {
    (0..rows * columns)
        .map(|index| values[(index % rows) * columns + index / rows])
        .collect()
}

fn same_bits(one: &[f32], other: &[f32]) -> bool {
    one.iter()
        .zip(other)
        .all(|(one, other)| one.to_bits() == other.to_bits() || one.is_nan() && other.is_nan())
}

/// Numbers whose sums are around the smallest normal number; denormals, infinities and NaN among them.
fn wild(count: usize, seed: u64) -> Vec<f32> {
    awkward(count, seed, 62, true)
}

/// Numbers with an exponent field of `exponent` to `exponent` + 2, or 0, or with `all` others too.
fn awkward(count: usize, seed: u64, exponent: u32, all: bool) -> Vec<f32> {
    let mut random = crate::random::Random::new("wild numbers", seed, 0);
    (0..count)
        .map(|_| {
            let bits = (random.unit_f64() * f64::from(u32::MAX)) as u32;
            let exponent = match bits % 64 {
                0 => 0,
                1 if all => 0xff,
                2..20 if all => 60 + bits / 64 % 8,
                _ => exponent + bits / 64 % 3,
            };
            // Few digits, so that sums often meet the smallest normal number.
            let digits = if bits & 0x800 == 0 {
                bits & 0x7f_ffff
            } else {
                bits & 0x60_0000
            };
            f32::from_bits(bits & 0x8000_0000 | exponent << 23 | digits)
        })
        .collect()
}

/// Both orders of a matrix.
fn layouts<'a, N: Number>(
    values: &'a [N],
    turned: &'a [N],
    rows: usize,
    columns: usize,
) -> [Matrix<'a, N>; 2] {
    [
        Matrix::new(values, rows, columns),
        Matrix::new(turned, columns, rows).transposed(),
    ]
}

fn check(set: Bf16Set, shape: [usize; 3], a: &[f32], b: &[f32]) {
    let [rows, columns, depth] = shape;
    let (a_turned, b_turned) = (transpose(a, rows, depth), transpose(b, depth, columns));
    let before = numbers(rows * columns, 3);
    for start in [Start::Zero, Start::Keep] {
        let mut expected = before.clone();
        reference::multiply(set, &mut expected, start, (a, b), shape);
        for a in layouts(a, &a_turned, rows, depth) {
            for b in layouts(b, &b_turned, depth, columns) {
                for work in [Work::Shared, Work::Alone] {
                    let mut target = before.clone();
                    multiply(set, &mut target, start, a, b, work);
                    assert!(
                        same_bits(&target, &expected),
                        "{set:?}: {shape:?}, {start:?}, {work:?}"
                    );
                }
            }
        }
    }
}

fn available() -> impl Iterator<Item = Bf16Set> {
    SETS.into_iter().filter(|set| set.is_available())
}

#[test]
fn every_layout_and_thread_count_has_the_bits_of_the_reference() {
    for set in available() {
        for count in [1, 2, 3, 8] {
            threads::pool(count).unwrap().install(|| {
                for shape @ [rows, columns, depth] in SHAPES {
                    check(
                        set,
                        shape,
                        &numbers(rows * depth, 1),
                        &numbers(depth * columns, 2),
                    );
                }
            });
        }
    }
}

#[test]
fn numbers_at_the_ends_of_the_range_have_the_bits_of_the_reference() {
    with_each(|_| {
        for set in available() {
            for shape @ [rows, columns, depth] in [[5, 40, 64], [40, 40, 33], [3, 300, 200]] {
                for seed in 0..4 {
                    check(
                        set,
                        shape,
                        &wild(rows * depth, 2 * seed),
                        &wild(depth * columns, 2 * seed + 1),
                    );
                }
            }
        }
    });
}

#[test]
fn products_whose_last_digit_is_around_the_smallest_normal_number() {
    let shape @ [rows, columns, depth] = [17, 20, 96];
    for set in available() {
        for exponent in 69..73 {
            for seed in 0..4 {
                let a = awkward(rows * depth, 2 * seed, exponent, false);
                let b = awkward(depth * columns, 2 * seed + 1, 71, false);
                check(set, shape, &a, &b);
            }
        }
    }
}

#[test]
fn what_rounds_to_the_smallest_normal_number_from_below_is_zero() {
    let power = |exponent: i32| 2.0_f32.powi(exponent);
    for set in SETS {
        for (less, result) in [
            (-149, 0.0),
            (-150, 0.0),
            (-151, f32::MIN_POSITIVE),
            (-152, f32::MIN_POSITIVE),
        ] {
            // The even and the odd k of both specifications: the smallest normal number, then a little less.
            let mut a = [0.0; 4];
            let mut b = [0.0; 4];
            (a[0], b[0]) = (power(-63), power(-63));
            (a[2], b[2]) = (-power(-75), power(less + 75));
            let mut target = [1.0];
            reference::multiply(set, &mut target, Start::Zero, (&a, &b), [1, 1, 4]);
            assert_eq!(target, [result], "{set:?}: 2^{less} less, by the reference");
            if set.is_available() {
                multiply(
                    set,
                    &mut target,
                    Start::Zero,
                    Matrix::new(&a, 1, 4),
                    Matrix::new(&b, 4, 1),
                    Work::Alone,
                );
                assert_eq!(target, [result], "{set:?}: 2^{less} less");
            }
        }
    }
}

#[test]
fn rounding_is_to_nearest_even_and_flushes_denormals() {
    for (value, bits) in [
        (1.0, 0x3f80),
        (f32::from_bits(0x3f80_8000), 0x3f80),
        (f32::from_bits(0x3f81_8000), 0x3f82),
        (f32::from_bits(0x3f80_8001), 0x3f81),
        (f32::MAX, 0x7f80),
        (f32::NEG_INFINITY, 0xff80),
        (f32::from_bits(0x7f80_0001), 0x7fc0),
        (f32::from_bits(0x807f_ffff), 0x8000),
        (f32::MIN_POSITIVE, 0x0080),
    ] {
        assert_eq!(reference::rounded(value), bits, "{value:e}");
        if !value.is_nan() && value.abs() >= f32::MIN_POSITIVE {
            assert_eq!(
                reference::rounded(value),
                bf16::from_f32(value).to_bits(),
                "{value:e}"
            );
        }
    }
}

#[test]
fn operands_may_be_bf16_already() {
    let [rows, columns, depth] = [37, 70, 100];
    let narrow = |values: Vec<f32>| -> Vec<bf16> {
        values
            .iter()
            .map(|&value| bf16::from_bits((value.to_bits() >> 16) as u16))
            .collect()
    };
    let wide = |values: &[bf16]| -> Vec<f32> { values.iter().map(|value| value.widen()).collect() };
    let (a, b) = (narrow(wild(rows * depth, 8)), narrow(numbers(depth * columns, 9)));
    let (a_turned, b_turned) = (transpose(&a, rows, depth), transpose(&b, depth, columns));
    for set in available() {
        let mut expected = vec![0.0; rows * columns];
        reference::multiply(
            set,
            &mut expected,
            Start::Zero,
            (&wide(&a), &wide(&b)),
            [rows, columns, depth],
        );
        for a in layouts(&a, &a_turned, rows, depth) {
            for b in layouts(&b, &b_turned, depth, columns) {
                let mut target = vec![1.0; rows * columns];
                multiply(set, &mut target, Start::Zero, a, b, Work::Alone);
                assert!(same_bits(&target, &expected), "{set:?}");
            }
        }
    }
}

#[test]
fn more_lanes_than_are_shared_at_once() {
    let [rows, columns, depth] = [1801, 1830, 3];
    let digits = |count: usize, factor: usize| -> Vec<f32> {
        (0..count)
            .map(|index| (index * factor % 17) as f32 - 8.0)
            .collect()
    };
    let (a, b) = (digits(rows * depth, 5), digits(depth * columns, 7));
    // Sums of small integers are exact.
    let expected = |row: usize, column: usize| -> f32 {
        (0..depth)
            .map(|k| a[row * depth + k] * b[k * columns + column])
            .sum()
    };
    let pool = threads::pool(3).unwrap();
    for set in available() {
        let mut target = vec![f32::NAN; rows * columns];
        let (a, b) = (Matrix::new(&a, rows, depth), Matrix::new(&b, depth, columns));
        pool.install(|| multiply(set, &mut target, Start::Zero, a, b, Work::Shared));
        for (index, &value) in target.iter().enumerate() {
            assert_eq!(
                value,
                expected(index / columns, index % columns),
                "{set:?}: {index}"
            );
        }
    }
}

#[test]
fn one_row_alone_has_the_bits_of_that_row_among_many() {
    let [rows, columns, depth] = [9, 300, 2500];
    let (left, right) = (numbers(rows * depth, 5), numbers(depth * columns, 6));
    let b = Matrix::new(&right, depth, columns);
    for set in available() {
        let mut many = vec![0.0; rows * columns];
        multiply(
            set,
            &mut many,
            Start::Zero,
            Matrix::new(&left, rows, depth),
            b,
            Work::Shared,
        );
        for row in 0..rows {
            let mut one = vec![0.0; columns];
            let a = Matrix::new(&left[row * depth..], 1, depth);
            multiply(set, &mut one, Start::Zero, a, b, Work::Shared);
            assert_eq!(one, many[row * columns..(row + 1) * columns]);
        }
    }
}

#[test]
fn the_result_is_that_of_f32_but_for_the_rounding_of_operands() {
    let [rows, columns, depth] = [40, 50, 3000];
    let (left, right) = (numbers(rows * depth, 5), numbers(depth * columns, 6));
    let (a, b) = (
        Matrix::new(&left, rows, depth),
        Matrix::new(&right, depth, columns),
    );
    let mut expected = vec![0.0; rows * columns];
    super::super::multiply(&mut expected, Start::Zero, a, b, Work::Alone);
    // Numbers up to 2, each off by at most 2^-8 of itself: errors of random sign, of about sqrt(3000) × 2^-8.
    for set in available() {
        let mut target = vec![0.0; rows * columns];
        multiply(set, &mut target, Start::Zero, a, b, Work::Alone);
        let far = target
            .iter()
            .zip(&expected)
            .any(|(one, other)| (one - other).abs() > 1.0);
        let equal = target
            .iter()
            .zip(&expected)
            .filter(|(one, other)| one == other)
            .count();
        assert!(!far && equal < target.len() / 4, "{set:?}");
    }
}

#[test]
fn sets_are_named_by_their_bits() {
    assert!(Bf16Set::best().is_available() && Bf16Set::Portable.is_available());
    assert_eq!(Bf16Set::Portable.name(), Bf16Set::Amx.name());
    for set in available() {
        let named = Bf16Set::named(set.name()).unwrap();
        assert!(named >= set && named.name() == set.name());
    }
    let problem = Bf16Set::named("bf16/abacus").unwrap_err().to_string();
    assert!(
        problem.contains("abacus") && problem.contains("bf16/amx"),
        "{problem}"
    );
}
