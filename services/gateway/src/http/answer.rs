//! How an answer about the past leaves: a page of JSON, or a table of any length, streamed.
//!
//! A stream is pulled: the next stretch is read when the client has taken what was written before,
//! so a slow reader costs the memory of one stretch and holds nothing of the store, and when a
//! reader goes away nothing more is read. Each stretch must be made within the time limit of a
//! request. The client may take it as slowly as it likes: only one that takes nothing at all for
//! `idle_ms` is left (the server sees to that). So a stream may last for any time.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use sen_table::{Cell, Column, Encoder, Format};
use serde::ser::{Serialize, SerializeMap, Serializer};
use tokio::sync::OwnedSemaphorePermit;

use super::problem::Problem;
use crate::centre::Shared;
use crate::query::Walk;
use crate::query::parameters::{Parameters, Wrong};

/// Streams at a time: each may hold a row group of Parquet. Further ones are asked to come back.
pub(crate) const MOST_STREAMS: usize = 16;
/// When to come back, in seconds.
const COME_BACK_S: u32 = 10;
/// Rows of one stretch of a stream.
const STRETCH_ROWS: usize = 4_096;
/// Items of a page, at most.
pub(crate) const MOST_ITEMS: usize = 10_000;
/// What to do with more of them.
pub(crate) const STREAM_INSTEAD: &str =
    ": follow `next`, or take all of them as one stream with format=ndjson, csv or parquet";

/// What the client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A page of JSON.
    Page,
    /// A stream.
    Stream(Format),
}

impl Shape {
    /// By the parameter `format`, else by what the client accepts.
    pub(crate) fn of(given: &Parameters, headers: &HeaderMap) -> Result<Self, Wrong> {
        let shape = match given.one("format")? {
            Some("json") => Self::Page,
            Some(name) => Self::Stream(name.parse().map_err(|_| {
                let name = crate::query::parameters::shown(name);
                Wrong::new("format", format!("`{name}` is none of json, ndjson, csv, parquet"))
            })?),
            None => Self::accepted(headers),
        };
        let of_pages = ["limit", "cursor"].into_iter().find(|name| given.has(name));
        match of_pages.filter(|_| shape != Self::Page) {
            Some(name) => Err(Wrong::new(name, "a stream has no pages: leave it out")),
            None => Ok(shape),
        }
    }

    /// What is accepted most; of equals the one named first. Whoever accepts nothing that there is
    /// gets a page: it says more than a refusal.
    fn accepted(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let mut best = (0.0, Self::Page);
        for range in lines.flat_map(|line| line.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let shape = match parts.next().unwrap_or_default() {
                "application/json" | "application/*" | "*/*" => Self::Page,
                "application/x-ndjson" => Self::Stream(Format::Ndjson),
                "text/csv" | "text/*" => Self::Stream(Format::Csv),
                super::PARQUET => Self::Stream(Format::Parquet),
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok());
            let weight = weight.unwrap_or(1.0);
            if weight > best.0 {
                best = (weight, shape);
            }
        }
        best.1
    }
}

/// A row as a JSON object.
pub(crate) struct Object<'r> {
    columns: &'r [Column],
    cells: Vec<Cell<'r>>,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.cells.len()))?;
        for (column, cell) in self.columns.iter().zip(&self.cells) {
            match cell {
                Cell::Absent => map.serialize_entry(&column.name, &())?,
                Cell::Text(text) => map.serialize_entry(&column.name, text)?,
                Cell::Float(value) => map.serialize_entry(&column.name, value)?,
                Cell::Integer(value) => map.serialize_entry(&column.name, value)?,
                Cell::Time(time) => map.serialize_entry(&column.name, time)?,
            }
        }
        map.end()
    }
}

/// The rows of a page, and the cursor of the next one.
pub(crate) async fn rows<W: Walk>(
    walk: &mut W,
    limit: usize,
) -> Result<(Vec<W::Row>, Option<String>), Problem> {
    let mut rows: Vec<W::Row> = Vec::new();
    // One too many tells whether there is another page.
    while let Some(mut some) = walk.stretch((limit + 1).saturating_sub(rows.len())).await? {
        rows.append(&mut some);
        if rows.len() > limit {
            rows.truncate(limit);
            let next = rows.last().map(|row| walk.cursor(row));
            return Ok((rows, next));
        }
    }
    Ok((rows, None))
}

/// Rows as JSON objects.
pub(crate) fn objects<'r, W: Walk>(
    walk: &'r W,
    columns: &'r [Column],
    rows: &[W::Row],
) -> Vec<Object<'r>> {
    rows.iter().map(|row| Object { columns, cells: walk.cells(row) }).collect()
}

/// Everything on the way, row after row.
pub(crate) fn stream<W: Walk>(
    centre: &Shared,
    walk: W,
    format: Format,
    name: &str,
) -> Result<Response<Body>, Problem> {
    let place = centre.streams.clone().try_acquire_owned().map_err(|_| {
        let detail = format!("{MOST_STREAMS} long answers are on their way already");
        Problem::unavailable(detail).retry_after(COME_BACK_S)
    })?;
    let limit = Duration::from_millis(centre.config.request_ms);
    let encoder = Encoder::new(format, walk.columns(), &[], Vec::new());
    let encoder = encoder.map_err(|error| Problem::internal(&error))?;
    let flow = Flow { walk, encoder: Some(encoder), limit, _place: place };
    let pieces = futures_util::stream::try_unfold(flow, |flow| async {
        flow.piece().await.inspect_err(|error| tracing::warn!(%error, "a stream broke off"))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    let media_type = HeaderValue::from_static(format.media_type());
    headers.insert(header::CONTENT_TYPE, media_type);
    if format != Format::Ndjson {
        let file = format!("attachment; filename=\"{name}.{}\"", format.as_str());
        headers.extend(HeaderValue::try_from(file).map(|file| (header::CONTENT_DISPOSITION, file)));
    }
    Ok(response)
}

/// Adds what a stream cannot say in its rows.
pub(crate) fn tell(response: &mut Response<Body>, name: &'static str, value: &str) {
    response.headers_mut().extend(
        HeaderValue::from_str(value)
            .map(|value| (axum::http::HeaderName::from_static(name), value)),
    );
}

/// A stream on its way.
struct Flow<W: Walk> {
    walk: W,
    /// None once the end is written.
    encoder: Option<Encoder<Vec<u8>>>,
    limit: Duration,
    _place: OwnedSemaphorePermit,
}

/// Why a stream broke off; for the log. The client sees an answer that is not whole.
type Broken = Box<dyn std::error::Error + Send + Sync>;

impl<W: Walk> Flow<W> {
    /// The next bytes; none after the end.
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>, Broken> {
        while self.encoder.is_some() {
            let stretch = self.walk.stretch(STRETCH_ROWS);
            let rows = tokio::time::timeout(self.limit, stretch).await??;
            // To write a row group of Parquet takes tens of milliseconds: not on the async threads.
            let write = move || self.write(rows);
            let (bytes, flow) = tokio::task::spawn_blocking(write).await??;
            self = flow;
            if !bytes.is_empty() {
                return Ok(Some((bytes.into(), self)));
            }
        }
        Ok(None)
    }

    fn write(mut self, rows: Option<Vec<W::Row>>) -> Result<(Vec<u8>, Self), Broken> {
        let Some(mut encoder) = self.encoder.take() else { return Ok((Vec::new(), self)) };
        let Some(rows) = rows else { return Ok((encoder.finish()?, self)) };
        for row in &rows {
            encoder.row(&self.walk.cells(row))?;
        }
        let bytes = encoder.take_written();
        self.encoder = Some(encoder);
        Ok((bytes, self))
    }
}

/// Says which parameter is wrong.
impl From<Wrong> for Problem {
    fn from(wrong: Wrong) -> Self {
        let Wrong { parameter, detail } = wrong;
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail).of_parameter(parameter)
    }
}
