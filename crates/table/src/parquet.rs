//! Parquet, a row group at a time. Pure: rows in, bytes out.
//!
//! Cells are gathered by column until a row group is full, then written, compressed, and forgotten.
//! Every column is optional; times are `TIMESTAMP(MILLIS, UTC)`. The library's low-level writer
//! serves: Arrow would cost a dozen crates more for the same file.

use std::io::Write;
use std::mem;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use crate::{Cell, Column, Kind, TableError};

/// Rows of one row group, at most.
pub const ROW_GROUP_ROWS: usize = 65_536;
/// Bytes of text in one row group, at most, beside one last row; equal texts that follow each other
/// count once.
pub const ROW_GROUP_TEXT_BYTES: usize = 16 << 20;

/// Whether a cell is absent or there.
const ABSENT: i16 = 0;
const THERE: i16 = 1;

/// The rows of one Parquet file.
pub(crate) struct Rows<W: Write + Send> {
    file: SerializedFileWriter<W>,
    gathered: Vec<Gathered>,
    rows: usize,
    text_bytes: usize,
}

/// The cells of one column that are not written yet.
struct Gathered {
    levels: Vec<i16>,
    values: Values,
}

enum Values {
    Text(Vec<ByteArray>),
    Float(Vec<f64>),
    /// Integers and times.
    Integer(Vec<i64>),
}

impl<W: Write + Send> Rows<W> {
    pub(crate) fn new(
        columns: &[Column],
        notes: &[(&str, &str)],
        out: W,
    ) -> Result<Self, TableError> {
        let notes =
            notes.iter().map(|(key, text)| KeyValue::new((*key).to_owned(), (*text).to_owned()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            // Smallest and largest for each row group; an index of pages would only lengthen the
            // footer, which is the one thing that grows with the file.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_key_value_metadata(Some(notes.collect()))
            .build();
        let file = SerializedFileWriter::new(out, schema(columns)?, Arc::new(properties))?;
        let gathered = columns.iter().map(Gathered::new).collect();
        Ok(Self { file, gathered, rows: 0, text_bytes: 0 })
    }

    pub(crate) fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), TableError> {
        for (gathered, cell) in self.gathered.iter_mut().zip(cells) {
            self.text_bytes += gathered.add(cell.plain());
        }
        self.rows += 1;
        if self.rows >= ROW_GROUP_ROWS || self.text_bytes >= ROW_GROUP_TEXT_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    pub(crate) fn out_mut(&mut self) -> &mut W {
        self.file.inner_mut()
    }

    pub(crate) fn finish(mut self) -> Result<W, TableError> {
        self.write_group()?;
        Ok(self.file.into_inner()?)
    }

    fn write_group(&mut self) -> Result<(), TableError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        for gathered in &mut self.gathered {
            let column = group.next_column()?;
            let column = column.ok_or_else(|| {
                TableError::Parquet(ParquetError::General("a column too few".to_owned()))
            })?;
            gathered.write(column)?;
        }
        group.close()?;
        // So that a stream gets the whole group at once.
        self.file.flush()?;
        (self.rows, self.text_bytes) = (0, 0);
        Ok(())
    }
}

impl Gathered {
    fn new(column: &Column) -> Self {
        let values = match column.kind {
            Kind::Text => Values::Text(Vec::new()),
            Kind::Float => Values::Float(Vec::new()),
            Kind::Integer | Kind::Time => Values::Integer(Vec::new()),
        };
        Self { levels: Vec::new(), values }
    }

    /// Takes a cell, which is known to fit, and tells the bytes of text it costs.
    fn add(&mut self, cell: Cell<'_>) -> usize {
        self.levels.push(if cell == Cell::Absent { ABSENT } else { THERE });
        match (&mut self.values, cell) {
            (Values::Text(texts), Cell::Text(text)) => return add_text(texts, text),
            (Values::Float(values), Cell::Float(value)) => values.push(value),
            (Values::Integer(values), Cell::Integer(value)) => values.push(value),
            (Values::Integer(values), Cell::Time(time)) => values.push(time.as_millis()),
            _ => {}
        }
        0
    }

    fn write(&mut self, mut column: SerializedColumnWriter<'_>) -> Result<(), TableError> {
        match &mut self.values {
            Values::Text(texts) => put::<ByteArrayType>(&mut column, texts, &self.levels)?,
            Values::Float(values) => put::<DoubleType>(&mut column, values, &self.levels)?,
            Values::Integer(values) => put::<Int64Type>(&mut column, values, &self.levels)?,
        }
        self.levels.clear();
        Ok(column.close()?)
    }
}

/// Rows of one series follow each other: their names are kept once.
fn add_text(texts: &mut Vec<ByteArray>, text: &str) -> usize {
    match texts.last().filter(|last| last.data() == text.as_bytes()) {
        Some(last) => {
            let same = last.clone();
            texts.push(same);
            0
        }
        None => {
            texts.push(ByteArray::from(text.as_bytes().to_vec()));
            text.len()
        }
    }
}

fn put<T: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    values: &mut Vec<T::T>,
    levels: &[i16],
) -> Result<(), ParquetError> {
    // A new vector for the next group: texts are the bulk of it and are gone with the old one.
    let values = mem::take(values);
    column.typed::<T>().write_batch(&values, Some(levels), None)?;
    Ok(())
}

fn schema(columns: &[Column]) -> Result<TypePtr, ParquetError> {
    let field = |column: &Column| {
        let (physical, logical) = match column.kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Float => (Physical::DOUBLE, None),
            Kind::Integer => (Physical::INT64, None),
            Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
        };
        let field = Type::primitive_type_builder(&column.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        field.build().map(Arc::new)
    };
    let fields = columns.iter().map(field).collect::<Result<_, _>>()?;
    Ok(Arc::new(Type::group_type_builder("table").with_fields(fields).build()?))
}
