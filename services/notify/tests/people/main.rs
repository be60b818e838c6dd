//! Calling people over a real log and real sockets: what is sent, what comes of it, and that
//! nothing is lost or told twice that need not be.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

#[path = "../harness/mod.rs"]
mod harness;

mod answers;
mod clock;
mod crashes;
mod dead_man;
mod mails;
mod pushes;
mod webhooks;
