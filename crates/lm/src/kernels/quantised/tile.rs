//! Where the fast products read.

use super::GROUP;
use super::activations::{Row, Scale};
use super::kind::Kind;
use crate::kernels::memory::prefetch;

/// Bytes that are fetched ahead of those in use, where a single row reads panels as fast as memory gives them: hardware
/// stops at the end of each page.
const AHEAD: usize = 1024;
/// Bytes that memory gives at once.
const LINE: usize = 64;

/// A panel and rows that fit it.
pub(super) struct Tile<const ROWS: usize> {
    pub panel: *const u8,
    pub spans: usize,
    pub levels: [*const i8; ROWS],
    pub scales: [*const Scale; ROWS],
}

impl<const ROWS: usize> Tile<ROWS> {
    pub fn new<K: Kind>(panel: &[u8], rows: [Row<'_>; ROWS]) -> Self {
        let spans = panel.len() / K::FORM.span_bytes();
        for row in rows {
            let columns = spans * K::FORM.span;
            assert!(
                row.levels.len() == columns && row.scales.len() == columns / GROUP,
                "a row of {} activations and a panel of {columns} columns",
                row.levels.len()
            );
        }
        Self {
            panel: panel.as_ptr(),
            spans,
            levels: rows.map(|row| row.levels.as_ptr()),
            scales: rows.map(|row| row.scales.as_ptr()),
        }
    }
}

/// Asks for the span that lies [`AHEAD`] of one.
#[inline(always)]
pub(super) fn fetch_ahead<K: Kind>(span: *const u8) {
    for line in 0..K::FORM.span_bytes().div_ceil(LINE) {
        prefetch(span.wrapping_add(AHEAD + line * LINE));
    }
}
