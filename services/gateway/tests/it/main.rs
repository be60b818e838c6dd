//! The gateway over real sockets, a real log and a real store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod api;
mod asking;
mod centre;
mod commands;
mod desk;
mod expired;
mod history;
mod house;
mod judged;
mod live;
mod made;
mod oncall;
mod others;
mod past;
mod query;
mod slow;
mod strangers;
mod streams;
