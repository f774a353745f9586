//! Where the fast products read.

use super::GROUP;
use super::activations::{Row, Scale};
use super::kind::Kind;

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
