//! The doors for machines in a process without screens: is it alive, is it ready, what does it count.
//!
//! They tell and take nothing, so nobody signs in; they listen where they are told to, and the
//! settings begin with nowhere.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::MissedTickBehavior;

use crate::health::Report;
use crate::telemetry::{Config, Metrics};
use crate::{Health, Shutdown, Tasks};

/// Connections at a time; further ones wait in the kernel's queue.
const MOST_CONNECTIONS: usize = 16;
/// How long a client may take with the headers of a request, and stay without one: longer than the
/// usual time between two looks, so that a scraper keeps its connection.
const HEADERS: Duration = Duration::from_secs(90);
/// Bytes of a request's headers, at most.
const REQUEST_BYTES: usize = 16 << 10;
/// How long a connection may last: one that takes nothing of its answer gives its place back.
const LIFETIME: Duration = Duration::from_secs(600);
/// How long answers that are under way may take when the process stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// Rest after a failed accept: the machine may be out of file descriptors.
const REST: Duration = Duration::from_millis(200);
/// How often the histograms forget what is old. Without it they grow for ever.
const UPKEEP: Duration = Duration::from_secs(5);

/// Why the endpoint could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Not an address.
    #[error("telemetry.admin: `{0}` is neither `off` nor an address and a port")]
    Address(String),
    /// The address cannot be listened at.
    #[error("telemetry.admin: cannot listen at {address}: choose another port, or free this one")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The bound endpoint: `GET /healthz`, `/readyz` and `/metrics`. Where it is off, it still looks
/// after the metrics.
#[derive(Debug)]
pub struct Admin {
    listener: Option<(TcpListener, SocketAddr)>,
    metrics: Metrics,
    health: Health,
}

impl Admin {
    /// Takes the address of `telemetry.admin`; starts nothing.
    pub async fn bind(
        config: &Config,
        metrics: Metrics,
        health: Health,
    ) -> Result<Self, BindError> {
        let address = config.admin_address();
        let listener = match address.map_err(|_| BindError::Address(config.admin.clone()))? {
            Some(address) => {
                let wrap = |source| BindError::Listen { address, source };
                let listener = TcpListener::bind(address).await.map_err(wrap)?;
                let bound = listener.local_addr().map_err(wrap)?;
                Some((listener, bound))
            }
            None => None,
        };
        Ok(Self { listener, metrics, health })
    }

    /// Where it listens; none where it is off.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().map(|(_, address)| *address)
    }

    /// Answers until asked to stop.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let Self { listener, metrics, health } = self;
        let upkeep = upkeep(metrics.clone(), shutdown.clone());
        let Some((listener, _)) = listener else {
            upkeep.await;
            return Ok(());
        };
        tokio::join!(upkeep, serve(listener, router(metrics, health), shutdown));
        Ok(())
    }
}

async fn upkeep(metrics: Metrics, shutdown: Shutdown) {
    let mut every = tokio::time::interval(UPKEEP);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            _ = every.tick() => metrics.upkeep(),
        }
    }
}

fn router(metrics: Metrics, health: Health) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .with_state(health)
        .route("/metrics", get(metrics_text))
        .with_state(metrics)
}

/// What the parts say of themselves.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    /// Each part with its trouble; null where there is none.
    parts: Report,
}

/// 200 when every part works, else 503 with the reasons.
async fn readyz(State(health): State<Health>) -> impl IntoResponse {
    let parts = health.own_report();
    let ready = !parts.is_empty() && parts.values().all(Option::is_none);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, parts }))
}

/// Prometheus text.
async fn metrics_text(State(metrics): State<Metrics>) -> impl IntoResponse {
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, media_type)], metrics.render())
}

/// Serves until asked to stop; then lets answers that are under way finish.
async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut tasks: Tasks<Infallible> = Tasks::new();
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => break,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => tell(ended),
            (stream, place) = accept(&listener, &places) => {
                tasks.spawn("admin", answer(stream, place, router.clone(), shutdown.clone()));
            }
        }
    }
    drop(listener);
    while let Some(ended) = tasks.join_next().await {
        tell(ended);
    }
}

/// A panic in an answer is a bug of ours, but no reason to stop the work that is looked at.
fn tell(ended: Result<&'static str, crate::tasks::TaskError<Infallible>>) {
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "a connection ended in a bug");
        metrics::counter!("sen_http_panics_total").increment(1);
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    loop {
        let place = Arc::clone(places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn answer(
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
    router: Router,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(REQUEST_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    // What goes wrong here is the peer's matter: it left, or spoke something else than HTTP.
    tokio::select! {
        _ = connection.as_mut() => return Ok(()),
        () = shutdown.requested() => {}
        () = tokio::time::sleep(LIFETIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(FAREWELL, connection).await;
    Ok(())
}

#[cfg(test)]
mod tests;
