//! What was written is read back by readers of others: the `csv` crate, `serde_json`, and the
//! Parquet reader.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use proptest::prelude::*;
use sen_model::Timestamp;
use sen_table::{
    Cell, Column, Encoder, Format, Kind, ROW_GROUP_ROWS, ROW_GROUP_TEXT_BYTES, TableError,
    unguarded,
};

const COLUMNS: [Column; 4] = [
    Column::new("name", Kind::Text),
    Column::new("value", Kind::Float),
    Column::new("count", Kind::Integer),
    Column::new("time", Kind::Time),
];

/// A row as the tests keep it.
type Row = (Option<String>, Option<f64>, Option<i64>, Option<i64>);

fn cells(row: &Row) -> [Cell<'_>; 4] {
    [
        row.0.as_deref().map_or(Cell::Absent, Cell::Text),
        Cell::float(row.1),
        row.2.map_or(Cell::Absent, Cell::Integer),
        row.3.map_or(Cell::Absent, |ms| Cell::Time(Timestamp::from_millis(ms))),
    ]
}

fn written(format: Format, notes: &[(&str, &str)], rows: &[Row]) -> Vec<u8> {
    let mut table = Encoder::new(format, COLUMNS.to_vec(), notes, Vec::new()).unwrap();
    rows.iter().for_each(|row| table.row(&cells(row)).unwrap());
    assert_eq!(table.count(), rows.len() as u64);
    table.finish().unwrap()
}

fn time_of(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millis()
}

/// What the `csv` crate reads; an absent text and an empty one look the same to it.
fn read_csv(bytes: &[u8]) -> Vec<Row> {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_reader(bytes);
    assert_eq!(reader.headers().unwrap(), vec!["name", "value", "count", "time"]);
    let row = |record: Result<csv::StringRecord, csv::Error>| {
        let record = record.unwrap();
        let there = |at: usize| Some(&record[at]).filter(|text| !text.is_empty());
        (
            Some(unguarded(&record[0]).to_owned()),
            there(1).map(|text| text.parse().unwrap()),
            there(2).map(|text| text.parse().unwrap()),
            there(3).map(time_of),
        )
    };
    reader.records().map(row).collect()
}

fn read_ndjson(bytes: &[u8]) -> Vec<Row> {
    let row = |line: &str| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 4);
        // `serde_json` may read the last digit of a float otherwise; the text has them all. Within
        // a name the quotes of this pattern would be escaped.
        let (_, value) = line.split_once(r#","value":"#).unwrap();
        let (value, _) = value.split_once(r#","count":"#).unwrap();
        assert_eq!(json["value"].is_null(), value == "null");
        (
            json["name"].as_str().map(str::to_owned),
            value.parse().ok(),
            json["count"].as_i64(),
            json["time"].as_str().map(time_of),
        )
    };
    std::str::from_utf8(bytes).unwrap().lines().map(row).collect()
}

fn read_parquet(bytes: Vec<u8>) -> Vec<Row> {
    let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|read| {
        let mut row = Row::default();
        for (name, field) in read.unwrap().get_column_iter() {
            match (name.as_str(), field) {
                (_, Field::Null) => {}
                ("name", Field::Str(text)) => row.0 = Some(text.clone()),
                ("value", Field::Double(value)) => row.1 = Some(*value),
                ("count", Field::Long(count)) => row.2 = Some(*count),
                ("time", Field::TimestampMillis(ms)) => row.3 = Some(*ms),
                other => panic!("{other:?}"),
            }
        }
        row
    })
    .collect()
}

/// Texts as people and attackers write them.
fn text() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        "=HYPERLINK(\"http://x\")",
        "+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "'quoted'",
        "# note",
        "a,b",
        "say \"no\"",
        "two\r\nlines",
        " space ",
        "Trạm Mỹ Tho",
        "\u{0}",
        "\u{feff}x",
        "{\"a\":1}",
        "",
    ]);
    prop_oneof![2 => hostile.prop_map(str::to_owned), 1 => any::<String>()]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        -100.0..100.0,
        prop::sample::select(vec![f64::NAN, f64::INFINITY, -0.0, 1e12, 1e-7, 5e-324, f64::MAX])
    ]
}

fn row() -> impl Strategy<Value = Row> {
    // The years 1 to 8900: other times have no RFC 3339 text.
    let time = -62_100_000_000_000..220_000_000_000_000_i64;
    (
        prop::option::of(text()),
        prop::option::of(number()),
        prop::option::of(any::<i64>()),
        prop::option::of(time),
    )
}

/// What every reader must find: a number that is not finite is absent.
fn expected(rows: &[Row]) -> Vec<Row> {
    let row = |(name, value, count, time): &Row| {
        (name.clone(), value.filter(|value| value.is_finite()), *count, *time)
    };
    rows.iter().map(row).collect()
}

proptest! {
    #[test]
    fn every_format_reads_back_the_same(rows in prop::collection::vec(row(), 0..30)) {
        let expected = expected(&rows);
        prop_assert_eq!(read_ndjson(&written(Format::Ndjson, &[], &rows)), expected.clone());
        prop_assert_eq!(read_parquet(written(Format::Parquet, &[], &rows)), expected.clone());
        let as_csv: Vec<Row> = expected
            .into_iter()
            .map(|(name, value, count, time)| (Some(name.unwrap_or_default()), value, count, time))
            .collect();
        prop_assert_eq!(read_csv(&written(Format::Csv, &[("licence", "x\r\ny,z")], &rows)), as_csv);
    }

    #[test]
    fn no_cell_of_a_csv_begins_as_a_formula(name in text()) {
        let bytes = written(Format::Csv, &[], &[(Some(name), None, None, None)]);
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        let record = reader.records().next().unwrap().unwrap();
        let begins = |text: &str| text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
        prop_assert!(!begins(&record[0]), "{:?}", record);
    }
}

#[test]
fn a_csv_and_ndjson_are_as_written_here() {
    let rows = [
        (Some("Mỹ Tho, \"chợ\"".to_owned()), Some(1.0), Some(-3), Some(0)),
        (Some(String::new()), Some(f64::NAN), None, None),
        (None, Some(-2.5e-9), Some(0), Some(1_764_000_000_123)),
    ];
    let csv = "# licence: CC BY 4.0\r\nname,value,count,time\r\n\
        \"Mỹ Tho, \"\"chợ\"\"\",1.0,-3,1970-01-01T07:00:00.000+07:00\r\n\
        \"\",,,\r\n\
        ,-2.5e-9,0,2025-11-24T23:00:00.123+07:00\r\n";
    let bytes = written(Format::Csv, &[("licence", "CC BY 4.0")], &rows);
    assert_eq!(String::from_utf8(bytes).unwrap(), csv);
    let ndjson = concat!(
        r#"{"name":"Mỹ Tho, \"chợ\"","value":1.0,"count":-3,"time":"1970-01-01T07:00:00.000+07:00"}"#,
        "\n",
        r#"{"name":"","value":null,"count":null,"time":null}"#,
        "\n",
        r#"{"name":null,"value":-2.5e-9,"count":0,"time":"2025-11-24T23:00:00.123+07:00"}"#,
        "\n",
    );
    let bytes = written(Format::Ndjson, &[("licence", "CC BY 4.0")], &rows);
    assert_eq!(String::from_utf8(bytes).unwrap(), ndjson);
}

#[test]
fn parquet_carries_its_notes_and_knows_that_times_are_utc() {
    let bytes = written(Format::Parquet, &[("licence", "CC BY 4.0")], &[Row::default()]);
    let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
    let file = reader.metadata().file_metadata();
    let notes: Vec<_> = file.key_value_metadata().unwrap().iter().collect();
    assert_eq!((notes[0].key.as_str(), notes[0].value.as_deref()), ("licence", Some("CC BY 4.0")));
    let time = file.schema_descr().column(3).logical_type_ref().cloned();
    let Some(LogicalType::Timestamp(time)) = time else { panic!("{time:?}") };
    assert!(time.is_adjusted_to_u_t_c && time.unit == TimeUnit::MILLIS);
}

#[test]
fn a_stream_is_taken_piece_by_piece_and_never_grows_beyond_a_row_group() {
    for format in Format::ALL {
        let mut table = Encoder::new(format, COLUMNS.to_vec(), &[], Vec::new()).unwrap();
        let (mut whole, mut largest) = (Vec::new(), 0);
        let rows: Vec<Row> = (0..2 * ROW_GROUP_ROWS as i64 + 7)
            .map(|at| (Some(format!("device-{}", at / 1_000)), Some(at as f64), Some(at), Some(at)))
            .collect();
        for row in &rows {
            table.row(&cells(row)).unwrap();
            let piece = table.take_written();
            largest = largest.max(piece.len());
            whole.extend(piece);
        }
        assert!(!whole.is_empty(), "{format:?} gives nothing before its end");
        whole.extend(table.finish().unwrap());
        assert!(largest * 3 < whole.len() * 2, "{format:?}: {largest} of {}", whole.len());
        let read = match format {
            Format::Csv => read_csv(&whole),
            Format::Ndjson => read_ndjson(&whole),
            Format::Parquet => read_parquet(whole),
        };
        assert!(read == rows, "{format:?} read back differs");
    }
}

#[test]
fn long_texts_end_a_row_group_early() {
    let long = |at: usize| (Some(format!("{at}{}", "x".repeat(1 << 20))), None, None, None);
    let rows: Vec<Row> = (0..2 * (ROW_GROUP_TEXT_BYTES >> 20)).map(long).collect();
    let bytes = written(Format::Parquet, &[], &rows);
    let reader = SerializedFileReader::new(Bytes::from(bytes.clone())).unwrap();
    assert_eq!(reader.num_row_groups(), 2);
    assert!(read_parquet(bytes) == rows);
}

#[test]
fn rows_of_another_shape_are_refused_alike() {
    for format in Format::ALL {
        let mut table = Encoder::new(format, COLUMNS.to_vec(), &[], Vec::new()).unwrap();
        let narrow = table.row(&[Cell::Absent]);
        assert!(matches!(narrow, Err(TableError::Width { cells: 1, columns: 4 })), "{narrow:?}");
        let text = Cell::Text("x");
        let kind = table.row(&[text, text, Cell::Absent, Cell::Absent]);
        let told = kind.unwrap_err().to_string();
        assert_eq!(told, "column `value` holds Float, not Text");
        assert_eq!(table.count(), 0);
    }
}

/// A disk that is full at once.
struct Full;

impl std::io::Write for Full {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Err(std::io::ErrorKind::StorageFull.into())
    }
}

#[test]
fn a_full_disk_is_told_at_the_latest_at_the_end() {
    for format in Format::ALL {
        let written = Encoder::new(format, COLUMNS.to_vec(), &[], Full)
            .and_then(|mut table| table.row(&[Cell::Absent; 4]).map(|()| table))
            .and_then(Encoder::finish);
        assert!(written.is_err(), "{format:?}");
    }
}

#[test]
fn formats_are_found_by_their_names() {
    for format in Format::ALL {
        assert_eq!(format.as_str().parse(), Ok(format));
    }
    let told = "xlsx".parse::<Format>().unwrap_err().to_string();
    assert_eq!(told, "`xlsx` is not a format: csv, ndjson or parquet");
}
