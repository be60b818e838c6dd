//! CSV as RFC 4180 has it, that no spreadsheet takes for a program. Pure: rows in, bytes out.
//!
//! An absent cell is empty, an empty text is `""`. A text that a spreadsheet would take for a
//! formula gets an apostrophe in front, which spreadsheets do not show; so does one that begins
//! with an apostrophe, so that a program may take one apostrophe off every text ([`unguarded`]).

use std::io::Write;

use crate::{Cell, Column, TableError};

/// What makes spreadsheets read a cell as a formula, also in its full-width forms, and what some
/// of them skip before one.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
const GUARD: char = '\'';

/// Before each note.
const COMMENT: char = '#';

/// The rows of one CSV.
pub(crate) struct Rows<W> {
    out: W,
    /// One row, before it is written at once.
    line: Vec<u8>,
}

impl<W: Write> Rows<W> {
    /// Writes the notes and the header.
    pub(crate) fn new(
        columns: &[Column],
        notes: &[(&str, &str)],
        out: W,
    ) -> Result<Self, TableError> {
        let mut rows = Self { out, line: Vec::new() };
        for (key, text) in notes {
            // A note is one line, whatever is in it.
            let text = text.replace(char::is_control, " ");
            write!(rows.line, "{COMMENT} {key}: {text}\r\n")?;
        }
        let header: Vec<Cell<'_>> = columns.iter().map(|column| Cell::Text(&column.name)).collect();
        rows.row(&header)?;
        Ok(rows)
    }

    pub(crate) fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), TableError> {
        for (at, cell) in cells.iter().enumerate() {
            if at > 0 {
                self.line.push(b',');
            }
            match cell.plain() {
                Cell::Absent => {}
                Cell::Text(text) => put_text(&mut self.line, text),
                // As Rust's debug form: the shortest digits that read back the same, with an
                // exponent where the number would be long.
                Cell::Float(value) => write!(self.line, "{value:?}")?,
                Cell::Integer(value) => write!(self.line, "{value}")?,
                Cell::Time(time) => write!(self.line, "{time}")?,
            }
        }
        self.line.extend_from_slice(b"\r\n");
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

fn put_text(line: &mut Vec<u8>, text: &str) {
    let guarded = text.starts_with(FORMULA) || text.starts_with(GUARD);
    // A quoted text at the beginning of a line is not taken for a note.
    let quoted = text.is_empty()
        || text.starts_with(COMMENT)
        || text.contains([',', '"', '\r', '\n'])
        || text.starts_with(' ')
        || text.ends_with(' ');
    if quoted {
        line.push(b'"');
    }
    if guarded {
        line.push(GUARD as u8);
    }
    for byte in text.bytes() {
        if byte == b'"' {
            line.push(b'"');
        }
        line.push(byte);
    }
    if quoted {
        line.push(b'"');
    }
}

/// The text of a CSV cell as it was before it was guarded against being run as a formula.
pub fn unguarded(text: &str) -> &str {
    text.strip_prefix(GUARD).unwrap_or(text)
}
