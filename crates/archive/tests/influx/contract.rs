//! A loopback server that replays a recorded contract: it expects these requests in this order, and
//! answers as written.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contract {
    /// Where it is documented.
    #[serde(rename = "source")]
    _source: String,
    exchanges: Vec<Exchange>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    request: Expected,
    response: Answer,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    method: String,
    path: String,
    #[serde(default)]
    query: BTreeMap<String, String>,
    /// The body of a write, after gzip.
    #[serde(default)]
    lines: Vec<String>,
    /// Any other body.
    #[serde(default)]
    json: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    json: Value,
    #[serde(default)]
    csv: Vec<String>,
}

pub(crate) struct Replay {
    pub(crate) address: SocketAddr,
    ended: Arc<AtomicBool>,
    faults: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<usize>>,
}

impl Replay {
    /// Begins to serve `tests/fixtures/influxdb/{name}.json`.
    pub(crate) fn of(name: &str) -> Self {
        let path = format!("{}/tests/fixtures/influxdb/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let contract: Contract = serde_json::from_str(&text).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (ended, faults) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let serve = {
            let (ended, faults) = (Arc::clone(&ended), Arc::clone(&faults));
            move || serve(&listener, contract.exchanges, &ended, &faults)
        };
        Self { address, ended, faults, thread: Some(std::thread::spawn(serve)) }
    }

    /// Begins to serve this answer to every request.
    pub(crate) fn always(status: u16, body: Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                if read_request(&connection).is_ok() {
                    let head = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n\r\n");
                    let _ = connection.write_all(head.as_bytes());
                    let _ = connection.write_all(&body);
                }
            }
        });
        address
    }

    /// Begins to answer queries for points from these, by their times in nanoseconds, as Flux would;
    /// adds up how many it has to look at.
    pub(crate) fn points(points: Vec<(i64, String)>, seen: Arc<Mutex<usize>>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // Ends with the test's process.
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let Ok((request, _)) = read_request(&connection) else { continue };
                let variable = |name: &str| -> i64 {
                    let path = "/extern/body/0/assignment/init/properties";
                    let variables = request.json.pointer(path).unwrap().as_array().unwrap();
                    let found = variables.iter().find(|variable| variable[0] == name).unwrap();
                    found[2].as_str().unwrap().parse().unwrap()
                };
                let within = variable("from")..variable("to");
                let found = points.iter().filter(|(time_ns, _)| within.contains(time_ns));
                *seen.lock().unwrap() += found.clone().count();
                let rows = found.take(variable("limit") as usize).map(|(_, row)| row.clone());
                let head = ["#datatype,a,b,c,d,e", ",result,table,_time,value,quality,received_at"];
                let csv = head.map(str::to_owned).into_iter().chain(rows).collect();
                let answer =
                    Answer { status: 200, headers: BTreeMap::new(), json: Value::Null, csv };
                let _ = connection.write_all(&response_bytes(&answer));
            }
        });
        address
    }

    /// Ends; every exchange must have taken place, as written.
    pub(crate) fn end(mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes it up, if it waits for a connection.
        let _ = TcpStream::connect(self.address);
        let left = self.thread.take().unwrap().join().unwrap();
        assert_eq!(*self.faults.lock().unwrap(), Vec::<String>::new());
        assert_eq!(left, 0, "exchanges that did not take place");
    }
}

fn serve(
    listener: &TcpListener,
    exchanges: Vec<Exchange>,
    ended: &AtomicBool,
    faults: &Mutex<Vec<String>>,
) -> usize {
    let mut exchanges = exchanges.into_iter();
    for connection in listener.incoming() {
        if ended.load(Ordering::SeqCst) {
            break;
        }
        let mut connection = connection.unwrap();
        let Ok((found, token)) = read_request(&connection) else { continue };
        let Some(Exchange { request, response }) = exchanges.next() else {
            faults.lock().unwrap().push(format!("one too many: {found:?}"));
            continue;
        };
        if found != request {
            faults.lock().unwrap().push(format!("\nfound  {found:?}\nwanted {request:?}\n"));
        }
        if token != "Token secret" {
            faults.lock().unwrap().push(format!("token: {token}"));
        }
        let _ = connection.write_all(&response_bytes(&response));
    }
    exchanges.len()
}

fn read_request(connection: &TcpStream) -> std::io::Result<(Expected, String)> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let url = format!("http://x{}", words.next().unwrap_or_default());
    let url: reqwest::Url = url.parse().map_err(std::io::Error::other)?;
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let header = |name: &str| headers.get(name).map(String::as_str).unwrap_or_default();
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let (mut lines, mut json) = (Vec::new(), Value::Null);
    if header("content-encoding") == "gzip" {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*body).read_to_string(&mut text)?;
        lines = text.lines().map(str::to_owned).collect();
    } else if !body.is_empty() {
        json = plain(serde_json::from_slice(&body)?);
    }
    let query =
        url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    let found = Expected { method, path: url.path().to_owned(), query, lines, json };
    Ok((found, header("authorization").to_owned()))
}

/// A query with its text as lines, and its variables as a list of names and values.
fn plain(mut body: Value) -> Value {
    let Some(properties) = body.pointer("/extern/body/0/assignment/init/properties") else {
        return body;
    };
    let pair = |property: &Value| {
        json!([property["key"]["name"], property["value"]["type"], property["value"]["value"]])
    };
    let variables: Vec<_> = properties.as_array().unwrap().iter().map(pair).collect();
    let text: Vec<_> = body["query"].as_str().unwrap().lines().map(str::trim).collect();
    let text = json!(text);
    body["query"] = text;
    body["extern"]["body"][0]["assignment"]["init"]["properties"] = json!(variables);
    body
}

fn response_bytes(answer: &Answer) -> Vec<u8> {
    let body = match &answer.json {
        Value::Null => answer.csv.iter().map(|line| format!("{line}\r\n")).collect(),
        json => json.to_string(),
    };
    let headers: String =
        answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = match answer.status {
        204 => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let status = answer.status;
    format!("HTTP/1.1 {status} x\r\n{headers}{length}Connection: close\r\n\r\n{body}").into_bytes()
}
