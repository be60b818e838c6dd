//! Tables for people and programs: CSV, NDJSON and Parquet, written row by row. Pure: rows in,
//! bytes out to whatever takes them.
//!
//! ```
//! use sen_table::{Cell, Column, Encoder, Format, Kind};
//! let columns = vec![Column::new("device", Kind::Text), Column::new("value", Kind::Float)];
//! let mut table = Encoder::new(Format::Csv, columns, &[], Vec::new()).unwrap();
//! table.row(&[Cell::Text("stn-my-tho"), Cell::Float(1.5)]).unwrap();
//! assert_eq!(table.finish().unwrap(), b"device,value\r\nstn-my-tho,1.5\r\n");
//! ```
//!
//! However many rows there are, memory stays bounded: CSV and NDJSON keep nothing, Parquet one row
//! group ([`ROW_GROUP_ROWS`], [`ROW_GROUP_TEXT_BYTES`]) and some hundred bytes of its index for
//! each group and column. Whoever streams writes into a `Vec<u8>` and takes what is in it between
//! rows ([`Encoder::take_written`]).
//!
//! All formats say the same: a value that is not finite is absent, as JSON has no word for it;
//! times are RFC 3339 with Vietnam's offset in text, and UTC milliseconds in Parquet.

mod csv;
mod ndjson;
mod parquet;

use std::borrow::Cow;
use std::io::Write;
use std::str::FromStr;

use sen_model::Timestamp;
use serde::Deserialize;

pub use crate::csv::unguarded;
pub use crate::parquet::{ROW_GROUP_ROWS, ROW_GROUP_TEXT_BYTES};

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Comma-separated values (RFC 4180), UTF-8, with a header; texts that a spreadsheet would take
    /// for a formula begin with an apostrophe.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Apache Parquet, compressed with Snappy.
    Parquet,
}

impl Format {
    /// Every format there is.
    pub const ALL: [Self; 3] = [Self::Csv, Self::Ndjson, Self::Parquet];

    /// Its name, which is also the ending of its files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }

    /// Its media type, for `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Ndjson => "application/x-ndjson",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// The text names no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format: csv, ndjson or parquet")]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let named = Self::ALL.into_iter().find(|format| format.as_str() == text);
        named.ok_or_else(|| UnknownFormat(text.to_owned()))
    }
}

/// What the cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// A finite `f64`, written so that it reads back as the same number.
    Float,
    /// An `i64`.
    Integer,
    /// A point in time.
    Time,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in the header.
    pub name: Cow<'static, str>,
    /// What its cells are.
    pub kind: Kind,
}

impl Column {
    /// A column of this name and kind.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name: Cow::Borrowed(name), kind }
    }

    /// A column whose name somebody chose, such as `p99.9`.
    pub const fn named(name: String, kind: Kind) -> Self {
        Self { name: Cow::Owned(name), kind }
    }
}

/// One cell; every column may have absent ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'t> {
    /// Nothing is known.
    Absent,
    /// For [`Kind::Text`].
    Text(&'t str),
    /// For [`Kind::Float`]; one that is not finite counts as absent.
    Float(f64),
    /// For [`Kind::Integer`].
    Integer(i64),
    /// For [`Kind::Time`].
    Time(Timestamp),
}

impl Cell<'_> {
    /// A float that may be absent.
    pub fn float(value: Option<f64>) -> Self {
        value.map_or(Self::Absent, Self::Float)
    }

    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Absent => None,
            Self::Text(_) => Some(Kind::Text),
            Self::Float(_) => Some(Kind::Float),
            Self::Integer(_) => Some(Kind::Integer),
            Self::Time(_) => Some(Kind::Time),
        }
    }

    /// The same in words every format has: what is not finite is absent.
    fn plain(self) -> Self {
        match self {
            Self::Float(value) if !value.is_finite() => Self::Absent,
            other => other,
        }
    }
}

/// Why a table could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Whatever takes the bytes failed.
    #[error("cannot write")]
    Io(#[from] std::io::Error),
    /// A row of another shape than the columns: a mistake in the program.
    #[error("a row of {cells} cells for {columns} columns")]
    Width {
        /// Cells of the row.
        cells: usize,
        /// Columns of the table.
        columns: usize,
    },
    /// A cell of another kind than its column: a mistake in the program.
    #[error("column `{column}` holds {wanted:?}, not {given:?}")]
    Kind {
        /// Its name.
        column: Cow<'static, str>,
        /// The kind of the column.
        wanted: Kind,
        /// That of the cell.
        given: Kind,
    },
    /// The Parquet library refused.
    #[error("cannot write Parquet")]
    Parquet(#[from] ::parquet::errors::ParquetError),
}

/// Writes one table, row by row.
pub struct Encoder<W: Write + Send> {
    columns: Vec<Column>,
    rows: Rows<W>,
    count: u64,
}

enum Rows<W: Write + Send> {
    Csv(csv::Rows<W>),
    Ndjson(ndjson::Rows<W>),
    Parquet(Box<parquet::Rows<W>>),
}

impl<W: Write + Send> Encoder<W> {
    /// Begins a table. Notes, such as its licence, are written as lines `# key: text` before the
    /// header of a CSV and into the metadata of a Parquet file; NDJSON has no place for them.
    pub fn new(
        format: Format,
        columns: Vec<Column>,
        notes: &[(&str, &str)],
        out: W,
    ) -> Result<Self, TableError> {
        let rows = match format {
            Format::Csv => Rows::Csv(csv::Rows::new(&columns, notes, out)?),
            Format::Ndjson => Rows::Ndjson(ndjson::Rows::new(&columns, out)),
            Format::Parquet => Rows::Parquet(Box::new(parquet::Rows::new(&columns, notes, out)?)),
        };
        Ok(Self { columns, rows, count: 0 })
    }

    /// Adds a row: one cell for each column, of its kind or absent. After an error the table is
    /// not to be gone on with.
    pub fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), TableError> {
        self.check(cells)?;
        self.count += 1;
        match &mut self.rows {
            Rows::Csv(rows) => rows.row(cells),
            Rows::Ndjson(rows) => rows.row(cells),
            Rows::Parquet(rows) => rows.row(cells),
        }
    }

    /// Rows so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whatever takes the bytes. To add bytes to it would spoil the table.
    pub fn out_mut(&mut self) -> &mut W {
        match &mut self.rows {
            Rows::Csv(rows) => rows.out_mut(),
            Rows::Ndjson(rows) => rows.out_mut(),
            Rows::Parquet(rows) => rows.out_mut(),
        }
    }

    /// Ends the table and gives back what took its bytes, all of them written to it.
    pub fn finish(self) -> Result<W, TableError> {
        match self.rows {
            Rows::Csv(rows) => Ok(rows.finish()),
            Rows::Ndjson(rows) => Ok(rows.finish()),
            Rows::Parquet(rows) => rows.finish(),
        }
    }

    fn check(&self, cells: &[Cell<'_>]) -> Result<(), TableError> {
        if cells.len() != self.columns.len() {
            return Err(TableError::Width { cells: cells.len(), columns: self.columns.len() });
        }
        for (column, cell) in self.columns.iter().zip(cells) {
            if let Some(given) = cell.kind().filter(|given| *given != column.kind) {
                let (column, wanted) = (column.name.clone(), column.kind);
                return Err(TableError::Kind { column, wanted, given });
            }
        }
        Ok(())
    }
}

impl Encoder<Vec<u8>> {
    /// Takes what was written since the last call: the next piece of a stream. Parquet gives
    /// nothing for up to [`ROW_GROUP_ROWS`] rows, then a whole row group.
    pub fn take_written(&mut self) -> Vec<u8> {
        std::mem::take(self.out_mut())
    }
}
