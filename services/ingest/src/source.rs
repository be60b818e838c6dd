//! Where packets come from: our own endpoint, and brokers of others.

pub(crate) mod broker;
pub(crate) mod listener;
