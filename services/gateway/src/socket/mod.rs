//! The WebSocket door: sockets come in through the router and are served by tasks that this module
//! owns and joins.

mod link;
mod session;
mod snapshot;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::response::Response;
use sen_chassis::{Shutdown, Tasks};
use tokio::sync::{Notify, mpsc};

use crate::centre::Shared;
use crate::wire::{CloseCode, MAX_FRAME_OUT_BYTES};
use link::{Ending, Link};

/// Sockets that wait to be served: they are taken up at once.
const WAITING: usize = 16;
/// Bytes read at once from a socket. The library's default of 128 KiB for each of a thousand
/// mostly silent screens is memory for nothing.
const READ_BUFFER_BYTES: usize = 4 << 10;
/// Larger frames are not even read to their end. Between this and the limit of the protocol the
/// close code is sure to arrive.
const HARD_FRAME_IN_BYTES: usize = 64 << 10;

/// Where the router hands sockets in.
#[derive(Clone)]
pub(crate) struct Door(mpsc::Sender<WebSocket>);

/// Where they come out.
pub(crate) type Arrivals = mpsc::Receiver<WebSocket>;

/// A door and its inner side.
pub(crate) fn door() -> (Door, Arrivals) {
    let (sockets, arrivals) = mpsc::channel(WAITING);
    (Door(sockets), arrivals)
}

/// `GET /api/v1/live`.
pub(crate) async fn live(State(Door(sockets)): State<Door>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * MAX_FRAME_OUT_BYTES)
        .max_message_size(HARD_FRAME_IN_BYTES)
        .max_frame_size(HARD_FRAME_IN_BYTES)
        .on_upgrade(move |socket| async move {
            // A closed door means that the server stops; the peer sees the connection end.
            let _ = sockets.send(socket).await;
        })
}

/// Serves the sockets that arrive until asked to stop, then says goodbye to each.
pub(crate) async fn run(centre: Shared, mut arrivals: Arrivals, shutdown: Shutdown) {
    let mut tasks: Tasks<Infallible> = Tasks::new();
    let holders = Arc::new(Holders::default());
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => break,
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => tell(ended),
            Some(socket) = arrivals.recv() => {
                let is_full = tasks.len() >= centre.config.live_connections;
                let (centre, holders) = (Arc::clone(&centre), Arc::clone(&holders));
                tasks.spawn("screen", serve(centre, holders, socket, is_full, shutdown.clone()));
            }
        }
        metrics::gauge!("sen_live_connections").set(tasks.len() as f64);
    }
    arrivals.close();
    while let Some(ended) = tasks.join_next().await {
        tell(ended);
    }
}

async fn serve(
    centre: Shared,
    holders: Arc<Holders>,
    socket: WebSocket,
    is_full: bool,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    let mut link = Link::new(socket, &centre.config);
    let ending = if is_full {
        Ending::Close(CloseCode::TooMany, "too many screens")
    } else {
        session::run(&centre, &holders, &mut link, &shutdown).await
    };
    link.end(ending).await;
    Ok(())
}

fn tell(ended: Result<&'static str, sen_chassis::tasks::TaskError<Infallible>>) {
    if let Err(error) = ended {
        tracing::error!(error = &error as &dyn std::error::Error, "a screen's task ended in a bug");
        metrics::counter!("sen_live_panics_total").increment(1);
    }
}

/// Which connection serves which screen name, so that a newer one can send an older one away.
#[derive(Default)]
struct Holders(Mutex<(u64, HashMap<String, Holder>)>);

struct Holder {
    connection: u64,
    leave: Arc<Notify>,
}

impl Holders {
    /// Takes a name for a new connection: its number, and what tells it to leave.
    fn take(&self, name: &str) -> (u64, Arc<Notify>) {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holders.0 += 1;
        let (connection, leave) = (holders.0, Arc::new(Notify::new()));
        let holder = Holder { connection, leave: Arc::clone(&leave) };
        if let Some(older) = holders.1.insert(name.to_owned(), holder) {
            older.leave.notify_one();
        }
        (connection, leave)
    }

    /// Gives a name back, if this connection still holds it.
    fn give_back(&self, name: &str, connection: u64) {
        let mut holders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if holders.1.get(name).is_some_and(|holder| holder.connection == connection) {
            holders.1.remove(name);
        }
    }
}
