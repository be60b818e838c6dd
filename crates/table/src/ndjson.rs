//! One JSON object a line, every column in each. Pure: rows in, bytes out.

use std::io::Write;

use crate::{Cell, Column, TableError};

/// The rows of one NDJSON table.
pub(crate) struct Rows<W> {
    out: W,
    /// What stands before each cell: `{"device":`, `,"value":`.
    keys: Vec<String>,
    /// One row, before it is written at once.
    line: Vec<u8>,
}

impl<W: Write> Rows<W> {
    pub(crate) fn new(columns: &[Column], out: W) -> Self {
        let key = |(at, column): (usize, &Column)| {
            let before = if at == 0 { '{' } else { ',' };
            format!("{before}{}:", serde_json::Value::from(column.name.as_ref()))
        };
        Self { out, keys: columns.iter().enumerate().map(key).collect(), line: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), TableError> {
        for (key, cell) in self.keys.iter().zip(cells) {
            self.line.extend_from_slice(key.as_bytes());
            match cell.plain() {
                Cell::Absent => self.line.extend_from_slice(b"null"),
                Cell::Text(text) => serde_json::to_writer(&mut self.line, text)
                    .map_err(|error| TableError::Io(error.into()))?,
                Cell::Float(value) => write!(self.line, "{value:?}")?,
                Cell::Integer(value) => write!(self.line, "{value}")?,
                Cell::Time(time) => write!(self.line, "\"{time}\"")?,
            }
        }
        self.line.extend_from_slice(b"}\n");
        self.out.write_all(&self.line)?;
        self.line.clear();
        Ok(())
    }

    pub(crate) fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    pub(crate) fn finish(self) -> W {
        self.out
    }
}
