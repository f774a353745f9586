//! The one wrapper for matrix products.

mod blocked;
mod matrix;
mod panels;
mod row_product;
mod tiles;
mod turn;
#[cfg(target_arch = "x86_64")]
mod turn_eight;

use rayon::prelude::*;

use super::instructions::InstructionSet;
use super::number::Number;
pub(super) use blocked::Target;
pub(crate) use matrix::Matrix;
#[cfg(target_arch = "x86_64")]
pub(super) use turn::turn_registers;
#[cfg(target_arch = "x86_64")]
pub(super) use turn_eight::turn_eight;

/// Targets of no more elements than this are not worth copying matrices into panels.
const SMALL: usize = 256;
/// What one task of a one-row product computes is a multiple of this many columns.
const STRIP: usize = 64;
/// Multiplications below which a product is not worth several threads.
const WORTH_THREADS: usize = 1 << 17;

/// What a product does with the numbers already in its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// Overwrites them.
    Zero,
    /// Adds to them: the target counts as the block sum before the first.
    Keep,
}

/// Whether a product may use the pool it runs in, or is itself one of many tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Shared,
    Alone,
}

/// target `[a.rows, b.columns]` = (target +) a · b, by rule 1 of the module.
///
/// `b` may be stored in 16 bits: the product has the bits of that with its numbers as f32, and reads half the bytes.
pub(crate) fn multiply<N: Number>(
    target: &mut [f32],
    start: Start,
    a: Matrix<'_>,
    b: Matrix<'_, N>,
    work: Work,
) {
    assert_eq!(a.columns, b.rows, "a product of matrices that do not fit");
    assert_eq!(
        target.len(),
        a.rows * b.columns,
        "a product into a target of another size"
    );
    let work = match a.rows * b.columns * a.columns {
        0..WORTH_THREADS => Work::Alone,
        _ => work,
    };
    let small = a.rows == 1 || b.columns == 1 || a.rows * b.columns <= SMALL;
    if small {
        by_rows(target, start, a, b, work);
    } else {
        blocked::multiply(tile(), target, start, a, b, work);
    }
}

/// The tile of the current instruction set.
fn tile() -> tiles::Tile {
    match InstructionSet::current() {
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx512 => tiles::AVX512,
        #[cfg(target_arch = "x86_64")]
        InstructionSet::Avx2 => tiles::AVX2,
        _ => tiles::PORTABLE,
    }
}

/// The product row by row: any shape, any machine.
fn by_rows<N: Number>(target: &mut [f32], start: Start, a: Matrix<'_>, b: Matrix<'_, N>, work: Work) {
    let keep = start == Start::Keep;
    match work {
        Work::Alone => {
            for (row, target) in target.chunks_mut(b.columns).enumerate() {
                row_product::strip(target, keep, a, b, row, 0);
            }
        }
        Work::Shared => {
            // Equal tasks, and few: each waits for memory all the time, which gives long pieces of a row fastest.
            let tasks = rayon::current_num_threads();
            let strip = b.columns.div_ceil(tasks).next_multiple_of(STRIP);
            let rows = target.par_chunks_mut(b.columns).enumerate();
            rows.for_each(|(row, target)| {
                let strips = target.par_chunks_mut(strip).enumerate();
                strips.for_each(|(index, target)| row_product::strip(target, keep, a, b, row, index * strip));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::super::instructions::tests::with_each;
    use super::super::reference;
    use super::*;
    use crate::threads;

    /// Every combination of layouts, at shapes around the borders of all paths.
    const SHAPES: [(usize, usize, usize); 24] = [
        (1, 1, 1),
        (1, 5, 3),
        (7, 1, 300),
        (1, 300, 257),
        (1, 2100, 128),
        (2, 128, 1),
        (2, 129, 2),
        (3, 100, 7),
        (16, 16, 64),
        (16, 17, 64),
        (2, 300, 256),
        (2, 300, 257),
        (2, 300, 258),
        (5, 90, 259),
        (64, 64, 32),
        (64, 128, 32),
        (97, 131, 61),
        (130, 65, 513),
        (65, 257, 768),
        (300, 33, 100),
        (257, 1024, 40),
        (8, 2048, 128),
        (15, 2081, 259),
        (1013, 33, 5),
    ];

    fn transpose<N: Number>(values: &[N], rows: usize, columns: usize) -> Vec<N> {
        (0..rows * columns)
            .map(|index| values[(index % rows) * columns + index / rows])
            .collect()
    }

    fn check(set: InstructionSet, rows: usize, columns: usize, depth: usize) {
        let left = reference::numbers(rows * depth, 1);
        let right = reference::numbers(depth * columns, 2);
        let (left_turned, right_turned) = (transpose(&left, rows, depth), transpose(&right, depth, columns));
        let before = reference::numbers(rows * columns, 3);
        for start in [Start::Zero, Start::Keep] {
            let mut expected = before.clone();
            reference::multiply(&mut expected, start, &left, &right, rows, columns, depth);
            for a in [
                Matrix::new(&left, rows, depth),
                Matrix::new(&left_turned, depth, rows).transposed(),
            ] {
                for b in [
                    Matrix::new(&right, depth, columns),
                    Matrix::new(&right_turned, columns, depth).transposed(),
                ] {
                    for work in [Work::Shared, Work::Alone] {
                        let mut target = before.clone();
                        multiply(&mut target, start, a, b, work);
                        let same = target
                            .iter()
                            .zip(&expected)
                            .all(|(one, other)| one.to_bits() == other.to_bits());
                        assert!(
                            same,
                            "{set:?}: {rows} × {columns} over {depth}, {start:?}, {work:?}, {a:.0?}, {b:.0?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_layout_thread_count_and_instruction_set_has_the_bits_of_the_reference() {
        with_each(|set| {
            // Without vectors every fused operation is a call: once is enough.
            let counts: &[usize] = if set == InstructionSet::Portable {
                &[2]
            } else {
                &[1, 2, 3, 8]
            };
            for &count in counts {
                threads::pool(count).unwrap().install(|| {
                    for (rows, columns, depth) in SHAPES {
                        check(set, rows, columns, depth);
                    }
                });
            }
        });
    }

    #[test]
    fn a_matrix_stored_in_16_bits_gives_the_bits_of_its_numbers_as_f32() {
        with_each(|set| {
            for shape in SHAPES {
                // Denormals of bf16 and of f16 too: as f32 they count.
                check_stored(set, shape, f32::MIN_POSITIVE / 8.0, bf16::from_f32);
                check_stored(set, shape, 1e-6, f16::from_f32);
            }
        });
    }

    fn check_stored<N: Number>(
        set: InstructionSet,
        (rows, columns, depth): (usize, usize, usize),
        small: f32,
        store: impl Fn(f32) -> N,
    ) {
        let left = reference::numbers(rows * depth, 1);
        let stored: Vec<N> = reference::numbers(depth * columns, 2)
            .iter()
            .enumerate()
            .map(|(index, &value)| store(value * if index % 5 == 0 { small } else { 1.0 }))
            .collect();
        let right: Vec<f32> = stored.iter().map(|value| value.widen()).collect();
        let a = Matrix::new(&left, rows, depth);
        let before = reference::numbers(rows * columns, 3);
        let mut expected = before.clone();
        let exact = Matrix::new(&right, depth, columns);
        multiply(&mut expected, Start::Keep, a, exact, Work::Alone);
        let turned = transpose(&stored, depth, columns);
        for b in [
            Matrix::new(&stored, depth, columns),
            Matrix::new(&turned, columns, depth).transposed(),
        ] {
            for work in [Work::Shared, Work::Alone] {
                let mut target = before.clone();
                multiply(&mut target, Start::Keep, a, b, work);
                assert_eq!(
                    target, expected,
                    "{set:?}: {rows} × {columns} over {depth}, {work:?}"
                );
            }
        }
    }

    #[test]
    fn one_row_alone_has_the_bits_of_that_row_among_many() {
        let (rows, columns, depth) = (9, 700, 600);
        let left = reference::numbers(rows * depth, 5);
        let right = reference::numbers(depth * columns, 6);
        let b = Matrix::new(&right, depth, columns);
        let mut many = vec![0.0; rows * columns];
        multiply(
            &mut many,
            Start::Zero,
            Matrix::new(&left, rows, depth),
            b,
            Work::Shared,
        );
        for row in 0..rows {
            let mut one = vec![0.0; columns];
            multiply(
                &mut one,
                Start::Zero,
                Matrix::new(&left[row * depth..], 1, depth),
                b,
                Work::Shared,
            );
            assert_eq!(one, many[row * columns..(row + 1) * columns]);
        }
    }
}
