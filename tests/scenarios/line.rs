//! A line that can be cut, that can fall silent, and that comes back: a TCP relay.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// They pass.
    Up,
    /// Connections end; new ones end at once.
    Cut,
    /// Nothing passes and nobody is told. What is under way passes when the line is up again.
    Silent,
}

/// A line to one address; gone when dropped.
pub(crate) struct Line {
    address: SocketAddr,
    state: watch::Sender<State>,
    _relay: JoinSet<()>,
}

impl Line {
    /// A line that is up, to this address.
    pub(crate) async fn to(far: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(State::Up);
        let mut relay = JoinSet::new();
        relay.spawn(accept(listener, far.to_owned(), state.subscribe()));
        Ok(Self { address, state, _relay: relay })
    }

    /// Its near end, as `host:port`.
    pub(crate) fn near(&self) -> String {
        self.address.to_string()
    }

    /// The port of its near end.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every connection ends, and new ones too.
    pub(crate) fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Nothing passes any more, and nobody is told.
    pub(crate) fn fall_silent(&self) {
        self.state.send_replace(State::Silent);
    }

    /// It is up again.
    pub(crate) fn mend(&self) {
        self.state.send_replace(State::Up);
    }
}

async fn accept(listener: TcpListener, far: String, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        connections.spawn(relay(near, far.clone(), state.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn relay(near: TcpStream, far: String, mut state: watch::Receiver<State>) {
    let Ok(()) = passes(&mut state).await else { return };
    let Ok(far) = TcpStream::connect(far).await else { return };
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let mut cut = state.clone();
    tokio::select! {
        () = copy(near_read, far_write, state.clone()) => {}
        () = copy(far_read, near_write, state) => {}
        _ = cut.wait_for(|state| *state == State::Cut) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut bytes = [0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if passes(&mut state).await.is_err() || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Waits out silence; an error if the line is cut.
async fn passes(state: &mut watch::Receiver<State>) -> Result<(), ()> {
    let told = state.wait_for(|state| *state != State::Silent).await;
    match told.map(|state| *state) {
        Ok(State::Up) => Ok(()),
        _ => Err(()),
    }
}
