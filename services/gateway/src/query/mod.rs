//! Questions about the past: which series (`lines`), which windows (`step`), what of them
//! (`aggregate`, `fill`), and the walks that answer, a stretch at a time, so that an answer of any
//! length takes the memory of one stretch and holds nothing of the store between two.

pub(crate) mod aggregate;
pub(crate) mod cursor;
pub(crate) mod curve;
pub(crate) mod fill;
pub(crate) mod lines;
mod lttb;
pub(crate) mod parameters;
pub(crate) mod readings;
pub(crate) mod step;
mod thin;
pub(crate) mod windows;

use sen_table::{Cell, Column};

use crate::past::PastError;

/// Goes through an answer from its first row to its last.
pub(crate) trait Walk: Send + 'static {
    /// One row of the answer.
    type Row: Send + 'static;

    /// What its rows hold.
    fn columns(&self) -> Vec<Column>;

    /// The next rows, about `most`; sometimes none, though there are more. None at the end.
    fn stretch(
        &mut self,
        most: usize,
    ) -> impl Future<Output = Result<Option<Vec<Self::Row>>, PastError>> + Send;

    /// The cells of a row, one for each column.
    fn cells<'w>(&'w self, row: &Self::Row) -> Vec<Cell<'w>>;

    /// Where the page after this row begins.
    fn cursor(&self, row: &Self::Row) -> String;
}
