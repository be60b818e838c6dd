//! The cluster against a real NATS server.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod calls;
mod leases;
mod server;
mod shares;
mod state;
mod status;
