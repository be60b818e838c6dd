//! Our own MQTT endpoint: sockets, limits, stopping. What MQTT itself asks of a server is done by
//! the library behind [`endpoint`].

mod endpoint;
mod rules;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sen_chassis::backoff::Backoff;
use sen_chassis::{Shutdown, Tasks};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};

use crate::config::Config;
use crate::intake::Door;
use crate::meters::ConnectionMeters;

pub(crate) use endpoint::Endpoint;
use endpoint::Limits;
pub use endpoint::PublishError;

/// How long connections have to end by themselves when we stop.
const GOODBYE: Duration = Duration::from_secs(2);
/// How often what ended connections left behind is swept away.
const SWEEP: Duration = Duration::from_secs(30);
/// A peer that vanished without a word is noticed after this and three probes, also where the
/// client asked for no keep-alive of MQTT.
const SILENCE: Duration = Duration::from_secs(60);
const PROBE: Duration = Duration::from_secs(10);

/// The bound endpoint.
pub(crate) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    endpoint: Arc<Endpoint>,
    door: Door,
    max_connections: usize,
    meters: ConnectionMeters,
}

impl Listener {
    /// Takes the socket.
    pub(crate) async fn bind(
        address: SocketAddr,
        config: &Config,
        door: Door,
    ) -> std::io::Result<Self> {
        let socket = TcpListener::bind(address).await?;
        let limits =
            Limits { packet_bytes: config.max_packet_bytes, retained: config.max_retained };
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            endpoint: Arc::new(Endpoint::new(limits, door.clone())),
            door,
            max_connections: config.max_connections,
            meters: ConnectionMeters::new(),
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where Sen's own messages go out.
    pub(crate) fn endpoint(&self) -> Arc<Endpoint> {
        Arc::clone(&self.endpoint)
    }

    /// Serves until shutdown; then lets connections end, and ends those that do not.
    ///
    /// While the log takes nothing it accepts nobody. A device that gets no answer hangs up and
    /// comes again, but the connection it left waits for the log and cannot notice: accepting the
    /// device again and again would fill every place.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let mut connections = Tasks::<Infallible>::new();
        let mut sweep = tokio::time::interval(SWEEP);
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1), 1);
        let mut flow = self.door.flow();
        loop {
            let flowing = *flow.borrow_and_update();
            tokio::select! {
                () = shutdown.requested() => break,
                Ok(()) = flow.changed() => {}
                accepted = self.socket.accept(), if flowing => match accepted {
                    Ok((stream, peer)) => {
                        backoff.succeeded();
                        self.admit(stream, peer, &mut connections);
                    }
                    // Out of file descriptors, mostly: existing connections go on.
                    Err(error) => {
                        if backoff.is_fresh() {
                            tracing::warn!(%error, "cannot accept mqtt connections");
                        }
                        tokio::time::sleep(backoff.failed()).await;
                    }
                },
                Some(ended) = connections.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(error = %error, "an mqtt connection ended in a bug");
                    }
                }
                _ = sweep.tick() => {
                    self.endpoint.sweep().await;
                    self.door.gauge();
                }
            }
            self.meters.open(connections.len());
        }
        drop(self.socket);
        self.endpoint.stop();
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GOODBYE, ended).await.is_err() {
            tracing::info!(connections = connections.len(), "ending connections that do not end");
        }
        self.meters.open(0);
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, connections: &mut Tasks<Infallible>) {
        if connections.len() >= self.max_connections {
            self.meters.refused();
            return;
        }
        let keep_alive =
            TcpKeepalive::new().with_time(SILENCE).with_interval(PROBE).with_retries(3);
        let options = stream
            .set_nodelay(true)
            .and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&keep_alive));
        if let Err(error) = options {
            tracing::debug!(%error, "a socket option was not taken");
        }
        let served = Arc::clone(&self.endpoint).serve(stream, peer);
        connections.spawn("mqtt connection", async move {
            served.await;
            Ok(())
        });
    }
}
