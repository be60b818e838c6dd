//! The durable log on a real disk: against a naive model, under damage, faults and `kill -9`.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod contract;
mod copy;
mod crash;
mod damage;
mod faults;
mod model;
mod notebook;
mod proxy;
mod reading;
mod servers;
mod sharing;
