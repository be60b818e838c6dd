//! The service over a real log.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod desk;
mod house;
mod judging;
mod shipped_wall;
