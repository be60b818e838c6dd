//! Bodies of writes, compressed: lines repeat their names, so that a tenth or less is left.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::RequestBuilder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::error::ArchiveError;

/// A request with these lines as its body.
pub(crate) fn post_gzip(
    request: RequestBuilder,
    lines: &str,
) -> Result<RequestBuilder, ArchiveError> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let body = encoder.write_all(lines.as_bytes()).and_then(|()| encoder.finish());
    let body = body.map_err(|error| ArchiveError::Answer(error.to_string()))?;
    Ok(request
        .header(CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(CONTENT_ENCODING, "gzip")
        .body(body))
}
