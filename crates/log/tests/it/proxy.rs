//! A way to a server on which messages are held up, answers are lost and connections are cut.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::servers::{PATIENCE, Server, connect};

/// What happens on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// What the client sends waits.
    Held,
    /// What the server answers is lost.
    Mute,
    /// There is no connection; the next one is open.
    Cut,
    /// As open, but the one message that is waited for goes where nobody takes it: the last letter
    /// but one of the text becomes another.
    Astray,
}

#[derive(Clone)]
struct Road {
    way: watch::Sender<Way>,
    trap: Arc<Mutex<Option<Trap>>>,
}

/// When the client sends the text for the n-th time, the way becomes so.
type Trap = (Vec<u8>, usize, Way);

pub(crate) struct Proxy {
    port: u16,
    road: Road,
    _connections: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let road = Road { way: watch::Sender::new(Way::Open), trap: Arc::default() };
        let (mut connections, to, given) = (JoinSet::new(), server.port(), road.clone());
        connections.spawn(async move {
            let mut pumps = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                given.way.send_if_modified(|way| {
                    let is_cut = *way == Way::Cut;
                    *way = if is_cut { Way::Open } else { *way };
                    is_cut
                });
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                pumps.spawn(up(given.clone(), from_client, to_server));
                pumps.spawn(down(given.clone(), from_server, to_client));
            }
        });
        Self { port, road, _connections: connections }
    }

    pub(crate) async fn client(&self) -> async_nats::Client {
        connect(&[format!("nats://127.0.0.1:{}", self.port)]).await
    }

    /// What is to happen as soon as the client sends `text` for the `count`-th time from now on.
    pub(crate) fn when(&self, text: &str, count: usize, way: Way) {
        *self.road.trap.lock().unwrap() = Some((text.as_bytes().to_vec(), count, way));
    }

    pub(crate) fn set(&self, way: Way) {
        self.road.way.send_replace(way);
    }

    /// Waits until it is so.
    pub(crate) async fn is(&self, way: Way) {
        let mut now = self.road.way.subscribe();
        let met = timeout(PATIENCE, now.wait_for(|now| *now == way)).await;
        met.unwrap_or_else(|_| panic!("the way is never {way:?}")).unwrap();
    }
}

impl Road {
    /// Looks for what the trap waits for in what is about to be sent.
    fn look(&self, bytes: &mut [u8]) {
        let mut trap = self.trap.lock().unwrap();
        let Some((text, count, way)) = &mut *trap else { return };
        let places = bytes.windows(text.len()).enumerate();
        let places: Vec<_> = places.filter(|(_, window)| window == text).collect();
        let Some((place, _)) = places.get(*count - 1) else {
            *count -= places.len();
            return;
        };
        if *way == Way::Astray {
            bytes[place + text.len() - 2] = b'x';
        }
        self.way.send_replace(*way);
        *trap = None;
    }
}

async fn up(road: Road, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (mut way, mut bytes) = (road.way.subscribe(), vec![0; 4_096]);
    while let Some(count) = read(&mut from, &mut way, &mut bytes).await {
        road.look(&mut bytes[..count]);
        if way.wait_for(|way| *way != Way::Held).await.is_ok_and(|way| *way == Way::Cut) {
            return;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn down(road: Road, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (mut way, mut bytes) = (road.way.subscribe(), vec![0; 65_536]);
    while let Some(count) = read(&mut from, &mut way, &mut bytes).await {
        if *way.borrow() != Way::Mute && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Reads some; none when it is over.
async fn read(
    from: &mut OwnedReadHalf,
    way: &mut watch::Receiver<Way>,
    bytes: &mut [u8],
) -> Option<usize> {
    tokio::select! {
        biased;
        _ = way.wait_for(|way| *way == Way::Cut) => None,
        count = from.read(bytes) => count.ok().filter(|count| *count > 0),
    }
}
