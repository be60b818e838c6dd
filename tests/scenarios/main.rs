//! Stories: each starts the real binary with real parts around it and reads like what happened.

mod alerts;
mod archive;
mod backup;
mod bad_clocks;
mod bad_disk;
mod bad_input;
mod behind_a_broker;
mod broken_brokers;
mod broken_lines;
mod clients;
mod configuration;
mod crash_points;
mod crashes;
mod day_killed;
mod dead_collector;
mod dead_man;
mod desk;
mod edge;
mod exports;
mod failing_webhook;
mod fleet;
mod full_disk;
mod hostile;
mod late;
mod line;
mod many_alerts;
mod newcomer;
mod oracle_run;
mod outage;
mod published;
mod repeats;
mod screens;
mod storm;
mod torn_log;
mod traces;

use sen_tests::asking::{
    GAUGE, LEVEL, alerts_of, level_three, now_ms, query_time, stored, time_ms,
};
use sen_tests::centre::Centre;
