//! Long answers: the same in every format, and at the pace of whoever reads.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use sen_gateway::Config;
use sen_model::Quality;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::house::{PATIENCE, config};
use crate::past::{DAY_MS, MONDAY_MS, PM25, Past, at_ms};

/// Streams there may be at a time.
const MOST_STREAMS: usize = 16;

fn lines(bytes: &[u8]) -> Vec<&str> {
    std::str::from_utf8(bytes).unwrap().lines().collect()
}

/// The JSON reader of these tests is off by the last digit now and then.
fn is_same(a: f64, b: f64) -> bool {
    (a - b).abs() <= a.abs() * 1e-15
}

#[tokio::test]
async fn every_format_says_what_the_pages_say() {
    let mut past = Past::new().await;
    past.fill(MONDAY_MS - 2 * DAY_MS, 300).await;
    let range = format!("from={}&to={}", MONDAY_MS - 2 * DAY_MS, MONDAY_MS);
    let merged = "area=all&by=kind&step=30m&fill=linear&aggregate=count,p99.9";
    for question in [
        format!("/api/v1/readings?area=all&{range}"),
        format!("/api/v1/readings?area=all&max_points=20&{range}"),
        format!("/api/v1/summaries?{merged}&{range}"),
        format!("/api/v1/summaries?metric={PM25}&step=1h&{range}"),
    ] {
        let whole = match question.contains("max_points") {
            true => past.items(&question).await,
            false => past.pages(&question, 10_000).await,
        };
        let (status, headers, body) = past.house.table(&question, "application/x-ndjson").await;
        assert_eq!((status, headers["content-type"].as_str()), (200, "application/x-ndjson"));
        let is_windows = question.contains("summaries");
        assert_eq!(
            headers.contains_key("sen-tier") && headers.contains_key("sen-step"),
            is_windows
        );
        let rows: Vec<Value> =
            lines(&body).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows, whole, "{question}");

        let (_, headers, body) = past.house.table(&format!("{question}&format=csv"), "*/*").await;
        assert!(headers["content-type"].starts_with("text/csv"), "{headers:?}");
        assert!(headers["content-disposition"].ends_with(".csv\""), "{headers:?}");
        csv_says(&body, &whole);

        let accept = "application/vnd.apache.parquet, */*;q=0.1";
        let (_, headers, body) = past.house.table(&question, accept).await;
        assert_eq!(headers["content-type"], "application/vnd.apache.parquet");
        assert!(!headers.contains_key("content-encoding"));
        parquet_says(body, &whole);
    }
    past.house.stop().await;
}

fn csv_says(body: &[u8], whole: &[Value]) {
    let csv = lines(body);
    let keys: Vec<&str> = csv[0].split(',').collect();
    assert_eq!(csv.len() - 1, whole.len());
    for (line, item) in csv[1..].iter().zip(whole) {
        for (key, cell) in keys.iter().zip(line.split(',')) {
            let is_told = match &item[*key] {
                Value::Null => cell.is_empty(),
                Value::String(text) => cell == text,
                told => is_same(told.as_f64().unwrap(), cell.parse().unwrap()),
            };
            assert!(is_told, "{line}: {item}");
        }
    }
}

fn parquet_says(body: Vec<u8>, whole: &[Value]) {
    let file = SerializedFileReader::new(Bytes::from(body)).unwrap();
    let rows: Vec<_> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), whole.len());
    for (row, item) in rows.iter().zip(whole) {
        for (key, field) in row.get_column_iter() {
            let told = &item[key];
            let is_told = match field {
                Field::Null => told.is_null(),
                Field::Double(value) => told.as_f64().is_some_and(|told| is_same(told, *value)),
                Field::Long(value) => told.as_i64() == Some(*value),
                Field::Str(text) => told.as_str() == Some(text),
                Field::TimestampMillis(ms) => *ms == at_ms(item, key),
                _ => false,
            };
            assert!(is_told, "{key} {field}: {item}");
        }
    }
}

#[tokio::test]
async fn the_shape_is_what_the_client_accepts_most() {
    let mut past = Past::new().await;
    past.fill(MONDAY_MS, 20).await;
    let path = format!("/api/v1/series/air-1/{PM25}/summaries?step=1h");
    for (accept, media_type) in [
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        ("text/csv;q=0.5, application/json;q=0.9", "application/json"),
        ("text/csv, application/json;q=0.9", "text/csv"),
        ("application/x-ndjson", "application/x-ndjson"),
    ] {
        let (status, headers, _) = past.house.table(&path, accept).await;
        assert_eq!(status, 200);
        assert!(headers["content-type"].starts_with(media_type), "{accept}: {headers:?}");
    }
    let (_, headers, body) = past.house.table(&format!("{path}&format=csv"), "*/*").await;
    assert_eq!((headers["sen-tier"].as_str(), headers["sen-step"].as_str()), ("1h", "1h"));
    assert!(lines(&body)[0].starts_with("device,metric,start,count,"), "a table says whose it is");
    past.house.stop().await;
}

/// A client whose kernel takes a few kilobytes, after it has asked and read nothing.
async fn narrow(address: SocketAddr, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// The readings of some time of a station, as a stream.
fn readings(length_ms: i64) -> String {
    let (from, to) = (MONDAY_MS, MONDAY_MS + length_ms);
    format!("/api/v1/series/air-1/{PM25}/readings?format=ndjson&from={from}&to={to}")
}

/// A day that has some megabytes of them.
async fn long(config: Config) -> Past {
    let mut past = Past::with(config).await;
    let said: Vec<_> =
        (0..60_000).map(|n| (MONDAY_MS + n * 1_000, n as f64, Quality::Good)).collect();
    past.say("air-1", PM25, &said).await;
    past.settle().await;
    past
}

/// Asks until a stream is begun.
async fn until_there_is_a_place(past: &Past) {
    let is_whole = |answer: &Value| answer.as_str().is_some_and(|text| text.lines().count() == 5);
    past.house.until(&readings(5_000), is_whole).await;
}

#[tokio::test]
async fn readers_that_stall_hold_nothing_but_their_places() {
    let past = long(config()).await;
    let mut stalled = Vec::new();
    for _ in 0..MOST_STREAMS {
        let mut stream = narrow(past.house.address, &readings(DAY_MS)).await;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        stalled.push(stream);
    }
    // No place for another one; everybody else reads from the store as ever.
    let (status, problem) = past.house.get(&readings(DAY_MS)).await;
    assert_eq!(status, 503, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("16 long answers"), "{problem}");
    let (from, to) = (MONDAY_MS, MONDAY_MS + DAY_MS);
    let hours = format!("/api/v1/series/air-1/{PM25}/summaries?step=1h&from={from}&to={to}");
    assert_eq!(past.pages(&hours, 3).await.len(), 17);
    // Those who go away leave their places.
    stalled.clear();
    until_there_is_a_place(&past).await;
    past.house.stop().await;
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_left_after_a_while() {
    let past = long(Config { idle_ms: 300, ..config() }).await;
    let mut stalled = Vec::new();
    for _ in 0..MOST_STREAMS {
        stalled.push(narrow(past.house.address, &readings(DAY_MS)).await);
    }
    until_there_is_a_place(&past).await;
    // What had come of such an answer says that it is not whole. (Some may still have had time.)
    let mut cut = 0;
    for mut stream in stalled {
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest);
        let _ = tokio::time::timeout(PATIENCE, read).await.expect("an end");
        cut += usize::from(!rest.ends_with(b"0\r\n\r\n"));
    }
    assert!(cut > 0);
    past.house.stop().await;
}

#[tokio::test]
async fn a_reader_that_goes_on_gets_all_of_it_however_long_it_takes() {
    let settings = Config { request_ms: 400, idle_ms: 5_000, ..config() };
    let past = long(settings).await;
    let mut stream = narrow(past.house.address, &readings(DAY_MS)).await;
    let mut answer = vec![0; 4 << 10];
    stream.read_exact(&mut answer).await.unwrap();
    // Longer than any request may take it reads no more than a little now and then.
    let longer = tokio::time::sleep(Duration::from_millis(1_500));
    tokio::pin!(longer);
    loop {
        tokio::select! {
            () = &mut longer => break,
            _ = past.house.get("/healthz") => {
                let mut some = [0; 64];
                stream.read_exact(&mut some).await.unwrap();
                answer.extend_from_slice(&some);
            }
        }
    }
    let rest = stream.read_to_end(&mut answer);
    tokio::time::timeout(PATIENCE, rest).await.expect("an end").unwrap();
    assert!(answer.ends_with(b"0\r\n\r\n"), "it is whole");
    let text = String::from_utf8_lossy(&answer);
    assert_eq!(text.matches("\"event_time\"").count(), 60_000);
    let last = json!("2026-11-23T16:39:59.000+07:00").to_string();
    assert!(text.contains(&last), "{last}");
    past.house.stop().await;
}
