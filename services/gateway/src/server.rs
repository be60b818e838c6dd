//! The HTTP server: bounded connections, tuned sockets, headers within a time, clients that read,
//! all tasks joined.
//!
//! `axum::serve` would spawn tasks that nobody joins and wait for request headers for ever; this is
//! the same loop with both put right.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use sen_chassis::{Shutdown, Tasks};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;

/// Connections besides those of the screens: browsers fetching files, programs, scrapers.
const PLAIN_CONNECTIONS: usize = 256;
/// How long a client may take with the headers of a request, and stay without one.
const HEADERS: Duration = Duration::from_secs(20);
/// How long answers that are under way may take when the server stops.
const FAREWELL: Duration = Duration::from_secs(5);
/// Rest after a failed accept: the machine may be out of file descriptors.
const REST: Duration = Duration::from_millis(200);
/// What the kernel may hold of unsent bytes for a connection. With the default of megabytes a
/// screen that has stopped reading looks well for a minute.
const SEND_BUFFER_BYTES: usize = 32 << 10;

/// Listens, and serves a router.
pub(crate) struct Server {
    listener: TcpListener,
    places: Arc<Semaphore>,
    idle: Duration,
}

impl Server {
    /// Takes the address; `screens` connections are allowed besides the plain ones.
    /// A client that reads nothing for `idle` of what is ready for it is left.
    pub(crate) async fn bind(
        address: std::net::SocketAddr,
        screens: usize,
        idle: Duration,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let places = Arc::new(Semaphore::new(screens + PLAIN_CONNECTIONS));
        Ok(Self { listener, places, idle })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> io::Result<std::net::SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until asked to stop; then lets answers that are under way finish.
    pub(crate) async fn run(self, router: Router, shutdown: Shutdown) {
        let mut tasks: Tasks<Infallible> = Tasks::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                Some(ended) = tasks.join_next(), if !tasks.is_empty() => tell(ended),
                stream = self.accept() => {
                    tasks.spawn("http", serve(stream, router.clone(), shutdown.clone()));
                }
            }
        }
        drop(self.listener);
        while let Some(ended) = tasks.join_next().await {
            tell(ended);
        }
    }

    /// The next connection. While all places are taken, clients wait in the kernel's queue.
    async fn accept(&self) -> Counted {
        loop {
            let place = Arc::clone(&self.places).acquire_owned().await;
            let place = place.expect("the semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    tune(&stream);
                    return Counted { stream, idle: self.idle, stalled: None, _place: place };
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

fn tune(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    // A socket that cannot be tuned still works.
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_send_buffer_size(SEND_BUFFER_BYTES);
}

/// A panic in a handler is a bug of ours, but no reason to take the screens away from everybody.
fn tell(ended: Result<&'static str, sen_chassis::tasks::TaskError<Infallible>>) {
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "a connection ended in a bug");
        metrics::counter!("sen_http_panics_total").increment(1);
    }
}

async fn serve(stream: Counted, router: Router, shutdown: Shutdown) -> Result<(), Infallible> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    // What goes wrong here is the peer's matter: it left, or spoke something else than HTTP.
    tokio::select! {
        _ = connection.as_mut() => return Ok(()),
        () = shutdown.requested() => connection.as_mut().graceful_shutdown(),
    }
    let _ = tokio::time::timeout(FAREWELL, connection).await;
    Ok(())
}

/// A connection and its place among those allowed: given back when the connection ends, also after
/// it was upgraded.
struct Counted {
    stream: TcpStream,
    /// How long nothing may leave.
    idle: Duration,
    /// Runs while nothing leaves.
    stalled: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl Counted {
    /// What became of a write, or the end of a client that has taken nothing for too long.
    fn unless_stalled(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let idle = self.idle;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.unless_stalled(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.unless_stalled(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
