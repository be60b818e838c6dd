//! The service: one line a device, or a bounded number of gateways.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use sen_chassis::tasks::TaskError;
use sen_chassis::{Clock, Problem, Shutdown, Tasks};
use sen_model::{Device, Registry};

use crate::config::Config;
use crate::line::{Line, LostLines};
use crate::province::Province;
use crate::reporter::Reporter;

/// What the simulator needs from outside.
#[derive(Clone, Debug)]
pub struct Ports {
    /// The devices it plays.
    pub registry: Arc<Registry>,
    /// Where it publishes.
    pub broker: SocketAddr,
    /// The time its devices put on their readings.
    pub clock: Clock,
}

/// Why a province cannot be simulated.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The config has mistakes; [`Config::check`] tells all of them.
    #[error("{0}")]
    Config(Problem),
    /// There is nothing to simulate.
    #[error("the registry has no devices")]
    NoDevices,
}

/// Why a running simulator ended: only by a bug, since it outlives any broker.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct RunError(#[from] TaskError<Infallible>);

/// A province that never sleeps.
#[derive(Debug)]
pub struct Simulator {
    config: Config,
    ports: Ports,
}

impl Simulator {
    /// Checks what it was given; connects nothing.
    pub fn bind(config: Config, ports: Ports) -> Result<Self, BindError> {
        if let Some(problem) = config.check().into_iter().next() {
            return Err(BindError::Config(problem));
        }
        if ports.registry.devices().next().is_none() {
            return Err(BindError::NoDevices);
        }
        Ok(Self { config, ports })
    }

    /// Lets every device report until asked to stop; the scenario's timeline begins now.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let mut tasks = Tasks::new();
        for line in self.lines() {
            tasks.spawn("simulated device", line.run(shutdown.clone()));
        }
        tracing::info!(
            lines = tasks.len(),
            broker = %self.ports.broker,
            scenario = self.config.scenario.map_or("none", |scenario| scenario.as_str()),
            "simulated province started"
        );
        Ok(tasks.join_all().await?)
    }

    fn lines(&self) -> Vec<Line> {
        let lost_lines = LostLines::default();
        let province = Arc::new(Province::new(&self.config, self.ports.clock.now_ms()));
        let line = |client_id: String, devices: &[&Device]| {
            let reporter = |device: &&Device| {
                Reporter::new((*device).clone(), Arc::clone(&province), self.config.faults.clone())
            };
            let reporters = devices.iter().map(reporter).collect();
            let (broker, clock) = (self.ports.broker, self.ports.clock.clone());
            let (buffer, lost_lines) = (self.config.buffer_packets, Arc::clone(&lost_lines));
            Line::new(client_id, broker, clock, reporters, buffer, lost_lines)
        };
        let devices: Vec<&Device> = self.ports.registry.devices().collect();
        if self.config.connections == 0 {
            return devices.iter().map(|device| line(device.id.to_string(), &[device])).collect();
        }
        let each = devices.len().div_ceil(self.config.connections);
        let shares = devices.chunks(each).enumerate();
        shares.map(|(number, devices)| line(format!("gateway-{number}"), devices)).collect()
    }
}
