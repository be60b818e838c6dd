//! Errors as RFC 9457 problem documents.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sen_model::{AlertRecord, Text};
use serde::Serialize;
use utoipa::ToSchema;

use crate::past::PastError;

pub(crate) const MEDIA_TYPE: &str = "application/problem+json";
/// How much of a plain answer becomes the detail of a problem, in bytes.
const DETAIL_BYTES: usize = 1_024;

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// `urn:sen:problem:` and a stable name.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: Box<str>,
    /// The stable name in words.
    #[schema(value_type = String)]
    title: Box<str>,
    /// The HTTP status.
    status: u16,
    /// What exactly was wrong with this request.
    #[schema(value_type = String)]
    detail: Box<str>,
    /// For a parameter that cannot be taken: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// For a refused command: the alert as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::schema::Alert>)]
    current: Option<Box<AlertRecord>>,
    /// For a refused command: why, in both languages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::schema::Text>)]
    text: Option<Box<Text>>,
    /// For rules that cannot be read: each mistake.
    #[serde(skip_serializing_if = "<[Mistake]>::is_empty")]
    #[schema(value_type = Vec<Mistake>, required = false)]
    problems: Box<[Mistake]>,
    /// Seconds after which to ask again: the header `Retry-After`.
    #[serde(skip)]
    retry_after: Option<u32>,
}

/// A mistake in rules.
#[derive(Debug, Serialize, ToSchema)]
struct Mistake {
    /// Where.
    at: String,
    /// What.
    what: String,
}

impl Problem {
    /// A problem of this stable name, such as `not-found`.
    pub(crate) fn new(status: StatusCode, name: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:sen:problem:{name}").into(),
            title: name.replace('-', " ").into(),
            status: status.as_u16(),
            detail: detail.into().into(),
            parameter: None,
            current: None,
            text: None,
            problems: Box::default(),
            retry_after: None,
        }
    }

    /// The request cannot be understood.
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }

    /// There is no such thing.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// Not now.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// Something of ours failed. The cause goes to the log, not to the caller.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "a request failed");
        let detail = "something went wrong here; the log says what";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// Ask again after so many seconds.
    pub(crate) fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// Because of this parameter.
    pub(crate) fn of_parameter(mut self, name: String) -> Self {
        self.parameter = Some(name);
        self
    }

    /// It cannot be done as things stand.
    pub(crate) fn refused(why: Text) -> Self {
        let mut refused = Self::new(StatusCode::CONFLICT, "refused", &why.en);
        refused.text = Some(Box::new(why));
        refused
    }

    /// Rules that cannot be read.
    pub(crate) fn of_rules(mistakes: Vec<(String, String)>) -> Self {
        let detail = "the rules have mistakes: see problems";
        let mut bad = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-rules", detail);
        bad.problems = mistakes.into_iter().map(|(at, what)| Mistake { at, what }).collect();
        bad
    }

    /// With the alert as it is.
    pub(crate) fn with_current(mut self, current: AlertRecord) -> Self {
        self.current = Some(Box::new(current));
        self
    }
}

impl From<PastError> for Problem {
    fn from(error: PastError) -> Self {
        match error {
            PastError::Store(error) => Self::internal(&error),
            error @ PastError::Archive { .. } => {
                tracing::debug!(%error, "the archive cannot be asked");
                Self::unavailable(format!("{error}: ask for later times, or again"))
            }
        }
    }
}

impl From<sen_log::ReadError> for Problem {
    fn from(error: sen_log::ReadError) -> Self {
        match error {
            sen_log::ReadError::Closed => Self::unavailable("the centre is stopping"),
            error => Self::internal(&error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry_after = self.retry_after.map(HeaderValue::from);
        let mut response = (status, axum::Json(self)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        response.headers_mut().insert(header::CONTENT_TYPE, media_type);
        response
    }
}

/// Makes a problem of the plain answers that the framework gives for what it refuses by itself: no
/// such path, method or media type, a body too large or not JSON, a query that does not parse.
pub(crate) async fn told_as_problem(response: Response) -> Response {
    let status = response.status();
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let is_told = media_type.is_some_and(|media_type| media_type == MEDIA_TYPE);
    if is_told || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let name = status.canonical_reason().unwrap_or("error").to_lowercase().replace(' ', "-");
    let (mut parts, body) = response.into_parts();
    let detail = text(body).await;
    let problem = Problem::new(status, &name, detail).into_response();
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        parts.headers.remove(name);
    }
    let (new, body) = problem.into_parts();
    parts.headers.extend(new.headers);
    Response::from_parts(parts, body)
}

async fn text(body: Body) -> String {
    let bytes = axum::body::to_bytes(body, DETAIL_BYTES).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
