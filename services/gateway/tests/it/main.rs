//! The gateway over real sockets, a real log and a real store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod api;
mod asking;
mod commands;
mod expired;
mod history;
mod house;
mod live;
mod past;
mod query;
mod slow;
mod strangers;
mod streams;
