//! More stories of `main.rs` of a centre apart, by `make apart` only: they take minutes, and little of
//! them crosses from process to process that `apart.rs` has not (see there).

mod bad_clocks;
mod bad_input;
mod behind_a_broker;
mod broken_brokers;
mod broken_lines;
mod clients;
mod edge;
mod exports;
mod fleet;
mod hostile;
mod line;
mod storm;

use sen_tests::asking::{GAUGE, LEVEL, alerts_of, level_three, now_ms, query_time, stored};
use sen_tests::centre_apart::CentreApart as Centre;
