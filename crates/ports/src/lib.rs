//! Ports of loopback that stay one's own while nobody listens there: for tests and measurements,
//! which must tell a server its port before it listens.
//!
//! A port that was only found free may be given to whoever connects somewhere, before the server
//! has started or while it is dead. So it stays bound to a socket that does not listen. Linux then
//! gives it to nobody who does not name it, and lets who names it listen, as both allow its reuse
//! (`SO_REUSEADDR`): servers do, those written in Go, Rust, C and for Node.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port of 127.0.0.1 that is held until this is dropped. A connection to it is refused while
/// nobody listens.
#[derive(Debug)]
pub struct Port {
    address: SocketAddr,
    _held: Socket,
}

impl Port {
    /// Takes one that nobody has.
    ///
    /// # Errors
    ///
    /// The system has none left, or no socket.
    pub fn hold() -> io::Result<Self> {
        let held = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        held.set_reuse_address(true)?;
        held.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        let address = held.local_addr()?.as_socket();
        let address = address.ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { address, _held: held })
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.address.port()
    }

    /// Where its server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn who_names_it_listens_and_listens_again() {
        let port = Port::hold().unwrap();
        let refused = TcpStream::connect(port.address()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        for _ in 0..2 {
            let server = TcpListener::bind(port.address()).unwrap();
            let client = TcpStream::connect(port.address()).unwrap();
            let (taken, from) = server.accept().unwrap();
            assert_eq!(from, client.local_addr().unwrap());
            // The server's side is closed first, as by a kill: what is left of it keeps nobody out.
            drop((server, taken, client));
        }
        let one = TcpListener::bind(port.address()).unwrap();
        let two = TcpListener::bind(port.address()).unwrap_err();
        assert_eq!(two.kind(), io::ErrorKind::AddrInUse, "one at a time");
        drop(one);
    }

    #[test]
    fn who_names_none_is_given_another() {
        // Far more draws than there are ports to draw from, so that a free one would come again.
        let port = Port::hold().unwrap();
        for _ in 0..200_000 {
            let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            assert_ne!(other.local_addr().unwrap(), port.address());
        }
    }
}
