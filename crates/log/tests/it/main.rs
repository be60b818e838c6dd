//! The durable log on a real disk: against a naive model, under damage, faults and `kill -9`.

mod common;
mod crash;
mod damage;
mod faults;
mod model;
mod sharing;
