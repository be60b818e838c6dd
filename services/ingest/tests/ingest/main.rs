//! Ingest against real parts: its own endpoint with hand-made MQTT, a real log, a real Mosquitto.
#![expect(clippy::unwrap_used, reason = "a test says what went wrong by failing")]
#![expect(unreachable_pub, reason = "what the files of one test binary share")]

mod broker;
mod conformance;
mod endpoint;
mod hostile;
mod own_broker;
mod support;
mod wire;
