//! Products of rows of activations with quantised matrices.

use std::ops::Range;

use rayon::prelude::*;

use super::LANES;
use super::activations::{Activations, Row};
use super::blocks::{Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
use super::kind::Kind;
use super::panels::QuantisedMatrix;
use super::portable;
use crate::kernels::Work;
use crate::kernels::instructions::InstructionSet;
use crate::kernels::matmul::Target;
use crate::kernels::tasks::{self, hand_out};
use crate::tensor_type::TensorType;

/// Rows of activations that go through a panel together.
const ROWS: usize = 4;
/// Multiplications below which a product is not worth several threads. They are awake: see `install_awake`.
const WORTH_THREADS: usize = 1 << 15;

/// Stores the products of all rows of activations with all rows of a matrix: number o of row i goes to column
/// `column + o` of row i of `target` `[rows, stride]`.
pub(crate) fn multiply(
    target: &mut [f32],
    stride: usize,
    column: usize,
    activations: &Activations,
    matrix: &QuantisedMatrix,
    work: Work,
) {
    let rows = activations.rows();
    assert!(
        matrix.columns() == activations.columns() && column + matrix.rows() <= stride,
        "a product of {} activations with {matrix:?} from column {column} of {stride} on",
        activations.columns()
    );
    assert_eq!(
        target.len(),
        rows * stride,
        "a product into a target of another size"
    );
    let product = Product {
        target: Target(target.as_mut_ptr()),
        stride,
        column,
        activations,
        matrix,
        run: run_of(matrix.kind()),
    };
    let panels = matrix.rows().div_ceil(LANES);
    let work = match rows * matrix.rows() * matrix.columns() {
        0..WORTH_THREADS => Work::Alone,
        _ => work,
    };
    if rows == 1 && work == Work::Shared {
        // A single row waits for memory, which gives long pieces fastest.
        let size = panels.div_ceil(rayon::current_num_threads());
        return (0..panels.div_ceil(size))
            .into_par_iter()
            .for_each(|index| product.task(index * size..panels.min((index + 1) * size)));
    }
    let sizes = tasks::Sizes {
        least: 1,
        most: panels,
    };
    hand_out(work, panels, sizes, |panels| product.task(panels));
}

struct Product<'a> {
    target: Target,
    stride: usize,
    column: usize,
    activations: &'a Activations,
    matrix: &'a QuantisedMatrix,
    run: Run,
}

/// Takes the number of a row and its products.
type Store<'a> = &'a mut dyn FnMut(usize, &[f32; LANES]);

/// The products of up to [`ROWS`] rows with a panel, stored row after row.
type Run = fn(&[u8], &[Row<'_>], Store<'_>);

impl Product<'_> {
    fn task(&self, panels: Range<usize>) {
        let rows = self.activations.rows();
        for index in panels {
            let panel = self.matrix.panel(index);
            let lanes = LANES.min(self.matrix.rows() - index * LANES);
            for row in (0..rows).step_by(ROWS) {
                let count = ROWS.min(rows - row);
                let these: [Row<'_>; ROWS] =
                    std::array::from_fn(|place| self.activations.row(row + place.min(count - 1)));
                (self.run)(panel, &these[..count], &mut |place, sums| {
                    self.store(row + place, index * LANES, &sums[..lanes]);
                });
            }
        }
    }

    #[allow(unsafe_code)]
    fn store(&self, row: usize, lane: usize, sums: &[f32]) {
        let offset = row * self.stride + self.column + lane;
        // SAFETY: `multiply` checked that these columns lie inside the target, which it borrows alone, and a panel's
        // columns are those of one task.
        unsafe { std::slice::from_raw_parts_mut(self.target.0.add(offset), sums.len()) }
            .copy_from_slice(sums);
    }
}

/// The code for a type of blocks.
fn run_of(kind: TensorType) -> Run {
    match kind {
        TensorType::Q4_0 => run::<Q4_0>,
        TensorType::Q4_1 => run::<Q4_1>,
        TensorType::Q5_0 => run::<Q5_0>,
        TensorType::Q5_1 => run::<Q5_1>,
        TensorType::Q8_0 => run::<Q8_0>,
        TensorType::Q4_K => run::<Q4K>,
        TensorType::Q5_K => run::<Q5K>,
        TensorType::Q6_K => run::<Q6K>,
        TensorType::F32 | TensorType::F16 | TensorType::BF16 => unreachable!("a matrix of blocks has blocks"),
    }
}

fn run<K: Kind>(panel: &[u8], rows: &[Row<'_>], store: Store<'_>) {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    match InstructionSet::current() {
        InstructionSet::Avx512 if is_x86_feature_detected!("avx512vnni") => {
            // SAFETY: this machine has VNNI, and what is asked of it for AVX-512.
            return unsafe {
                each(
                    rows,
                    |rows| super::vnni::rows::<K, ROWS>(panel, rows),
                    |row| super::vnni::rows::<K, 1>(panel, [row])[0],
                    store,
                )
            };
        }
        InstructionSet::Avx512 | InstructionSet::Avx2 => {
            // SAFETY: this machine has the instructions of AVX2 and of what comes with it.
            return unsafe {
                each(
                    rows,
                    |rows| super::avx2::rows::<K, ROWS>(panel, rows),
                    |row| super::avx2::row::<K>(panel, row),
                    store,
                )
            };
        }
        InstructionSet::Portable => {}
    }
    each(
        rows,
        |rows| rows.map(|row| portable::row::<K>(panel, row)),
        |row| portable::row::<K>(panel, row),
        store,
    );
}

/// Whole tiles together, and what is left row by row.
#[inline(always)]
fn each(
    rows: &[Row<'_>],
    many: impl Fn([Row<'_>; ROWS]) -> [[f32; LANES]; ROWS],
    one: impl Fn(Row<'_>) -> [f32; LANES],
    store: Store<'_>,
) {
    if let Ok(rows) = <[Row<'_>; ROWS]>::try_from(rows) {
        let sums = many(rows);
        sums.iter().enumerate().for_each(|(row, sums)| store(row, sums));
    } else {
        for (row, &these) in rows.iter().enumerate() {
            store(row, &one(these));
        }
    }
}
