//! How this process is looked at from outside: the doors for machines, and the traces it sends.

use std::net::SocketAddr;

use anyhow::Context;
use sen_chassis::telemetry::{Config, Metrics};
use sen_chassis::trace::{self, Export, Process};
use sen_chassis::{Admin, Clock, Health, Traces};

use crate::stages::Stages;

/// The admin endpoint and what sends the traces; both run until everything else has stopped.
pub(crate) struct Outlook {
    admin: Admin,
    export: Option<Export>,
}

impl Outlook {
    /// Takes the address of `telemetry.admin` and installs the traces of `telemetry.traces`; call it
    /// before the services run. `name` is what traces call this process, such as `sen-ingest`;
    /// an empty `instance` is made of it, the host's name and the process id.
    pub(crate) async fn bind(
        config: &Config,
        name: &str,
        instance: String,
        (metrics, health, clock): (Metrics, Health, Clock),
    ) -> anyhow::Result<Self> {
        let admin = Admin::bind(config, metrics, health).await?;
        let instance = Some(instance).filter(|given| !given.is_empty());
        let process = Process {
            name: name.to_owned(),
            instance: instance.unwrap_or_else(|| instance_of(name)),
            version: env!("CARGO_PKG_VERSION"),
        };
        let traces = Traces::from_config(config, process, clock).context("telemetry.traces")?;
        let export = traces.map(|(traces, export)| {
            trace::install(traces);
            export
        });
        Ok(Self { admin, export })
    }

    /// Where the doors are; none where they are off.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.admin.address()
    }

    /// Starts both: add them last, so that it is seen how the others stop.
    pub(crate) fn stage(self, stages: &mut Stages) {
        stages.add("traces", self.export, Export::run);
        stages.add("admin", Some(self.admin), Admin::run);
    }
}

/// Role, host name and process id: no two processes of a centre have the same.
fn instance_of(name: &str) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = Some(host.trim()).filter(|host| !host.is_empty()).unwrap_or("localhost");
    format!("{name}-{host}-{}", std::process::id())
}
