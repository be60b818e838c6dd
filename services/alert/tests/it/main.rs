//! The service over a real log.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod backtest;
mod desk;
mod happenings;
mod house;
mod judging;
mod shipped_wall;
