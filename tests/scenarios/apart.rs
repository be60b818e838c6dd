//! The same stories as `main.rs`, of a centre apart: each role is a process over three NATS servers,
//! as `docker-compose.yml` has it, and `restart` kills them all.

mod alerts;
mod bad_clocks;
mod bad_input;
mod behind_a_broker;
mod broken_brokers;
mod broken_lines;
mod clients;
mod crashes;
mod day_killed;
mod dead_man;
mod desk;
mod edge;
mod exports;
mod failing_webhook;
mod fleet;
mod hostile;
mod late;
mod line;
mod many_alerts;
mod oracle_run;
mod repeats;
mod screens;
mod storm;
mod traces;

use sen_tests::asking::{
    GAUGE, LEVEL, alerts_of, level_three, now_ms, query_time, stored, time_ms,
};
use sen_tests::centre_apart::CentreApart as Centre;
