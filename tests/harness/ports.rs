//! Ports that stay free while their owner is dead: below those that the system gives to whoever
//! connects somewhere, so that nobody takes one by chance before it is started again.

use std::io;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// The system gives others from 32,768 on, unless it was told otherwise.
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// Binds a port on loopback that nobody has.
pub fn free() -> io::Result<TcpListener> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes begin far from each other.
    let begin = (std::process::id() % 400 * 50) as u16;
    loop {
        let tried = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (begin + tried % COUNT) % COUNT;
        match TcpListener::bind(("127.0.0.1", port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tried < COUNT => {}
            bound => return bound,
        }
    }
}
