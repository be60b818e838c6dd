//! The stories of `main.rs` once more, of a centre apart: each role is a process of its own over three
//! NATS servers, as `docker-compose.yml` has it, and `restart` kills them all. One source, compiled
//! twice: the modules say `crate::Centre`. What is about two instances of a role is in `tests/apart`.
//!
//! `apart_too.rs` has those in which little crosses from process to process; `make apart` runs both.
//! These are of one process only, and in neither:
//!
//! - `backup`, `bad_disk`, `crash_points`, `full_disk`, `torn_log`: the files of the embedded log and
//!   store, or a failure inside one process. Apart, the log is the servers' (`tests/apart/bus.rs`).
//! - `configuration`, `newcomer`, `published`: the arguments of `sen run`, and `--data` of a centre that
//!   was there before.
//! - `archive`, `outage`: the archive of one process; apart it is killed in `tests/apart/kills.rs`.
//! - `dead_collector`: its admin endpoint, of which each role has its own.

mod alerts;
mod crashes;
mod day_killed;
mod dead_man;
mod desk;
mod failing_webhook;
mod late;
mod many_alerts;
mod oracle_run;
mod repeats;
mod screens;
mod traces;

use sen_tests::asking::{
    GAUGE, LEVEL, alerts_of, level_three, now_ms, query_time, stored, time_ms,
};
use sen_tests::centre_apart::CentreApart as Centre;
