//! Answers of InfluxDB: annotated CSV. Pure: bytes in, rows out; total on any input.
//!
//! Each table begins with a row `#datatype,…`, then its column names. A query that fails after the
//! first bytes were sent says so in a table of its own, with a column `error`: a status of success
//! proves nothing.

use std::collections::HashMap;

use crate::error::words;

/// A row: its values by column.
pub(crate) type Record = HashMap<String, String>;

/// Every row of every table, or what the server complains of.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Record>, String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut names: Option<Vec<String>> = None;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| format!("not CSV: {error}"))?;
        let first = record.get(0).unwrap_or_default();
        if first.starts_with('#') {
            names = None;
            continue;
        }
        let Some(known) = &names else {
            names = Some(record.iter().map(str::to_owned).collect());
            continue;
        };
        if record.len() != known.len() {
            return Err("a row has not the columns of its table".into());
        }
        let row: Record = known.iter().cloned().zip(record.iter().map(str::to_owned)).collect();
        if let Some(error) = row.get("error") {
            return Err(words(error.as_bytes()));
        }
        rows.push(row);
    }
    Ok(rows)
}

/// A value of a row, read as its type.
pub(crate) fn value<T: std::str::FromStr>(row: &Record, name: &str) -> Result<T, String> {
    let text = row.get(name).ok_or_else(|| format!("no column `{name}`"))?;
    text.parse().map_err(|_| format!("column `{name}` has something else in it"))
}

/// The time of a row, in nanoseconds.
pub(crate) fn time_ns(row: &Record) -> Result<i64, String> {
    let time: jiff::Timestamp = value(row, "_time")?;
    i64::try_from(time.as_nanosecond()).map_err(|_| "a time beyond what is kept".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tables_are_read_one_after_the_other() {
        let text = "#datatype,string,long,dateTime:RFC3339,double\r\n,result,table,_time,value\r\n\
                    ,,0,1969-12-31T23:59:59.999999999Z,1.5\r\n\r\n\
                    #datatype,string,long,string\r\n,result,table,device\r\n,,0,\"a,\"\"b\"\r\n\r\n";
        let rows = parse(text.as_bytes()).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((time_ns(&rows[0]), value::<f64>(&rows[0], "value")), (Ok(-1), Ok(1.5)));
        assert_eq!(rows[1]["device"], "a,\"b");
        assert!(value::<f64>(&rows[1], "value").is_err() && time_ns(&rows[1]).is_err());
    }

    #[test]
    fn a_failure_in_the_body_is_a_failure() {
        let text = "#datatype,string,long\n,result,table\n,,0\n\n#datatype,string,string\n,error,reference\n,\
                    panic: out of memory,897\n";
        assert_eq!(parse(text.as_bytes()), Err("panic: out of memory".into()));
        assert!(parse(b"#datatype,a\n,x,y\n,1\n").is_err());
        assert_eq!(parse(b"\r\n"), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[#,\"\r\na-z]{0,60}") {
            let _ = parse(&bytes);
            let _ = parse(text.as_bytes());
        }
    }
}
