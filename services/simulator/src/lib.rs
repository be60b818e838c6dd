//! A province that never sleeps, from a seed: plays every device of the registry over MQTT.
//!
//! From the inside out: `noise` and `calendar` (chance and time), `site` (where a device stands),
//! `river`, `sky`, `street`, `office` (the physics), `happening` (what cameras and citizens
//! report), `scenario` (drills), `province` (all of it as one function of time), `reporter` (a
//! device with its faults), `packet` and `outbox` (what it says and what it still owes), `line`
//! (its connection), `simulator` (the service). `recording` tells what a centre would hear, without
//! a broker.

mod calendar;
mod config;
mod happening;
mod line;
mod noise;
mod office;
mod outbox;
mod packet;
mod province;
mod recording;
mod reporter;
mod river;
mod scenario;
mod simulator;
mod site;
mod sky;
mod street;
mod vn_aqi;

pub use config::{Config, Faults};
pub use recording::{Heard, Road, record};
pub use scenario::{Scenario, UnknownScenario};
pub use simulator::{BindError, Ports, RunError, Simulator};
