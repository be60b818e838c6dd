//! The section `[upstream]` of `sen.toml`.

use std::path::Path;

use sen_chassis::Problem;
use sen_model::DeviceId;
use serde::Deserialize;

/// Most packets that may be on their way at a time. A line that answers each of them only after its
/// disk must still answer a sign of life behind them in time.
const LARGEST_WINDOW: usize = 512;
/// Hosts that are this machine.
const OURSELVES: [&str; 5] = ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "[::]"];

/// The centre above this one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `host:port` of its MQTT endpoint; empty for none.
    pub broker: String,
    /// What this centre is called there: another one for every centre that forwards to it.
    pub client_id: String,
    /// The name it signs in with; empty for none.
    pub username: String,
    /// File with the password; empty for none.
    pub password_file: String,
    /// Most packets on their way and not yet answered.
    pub window: usize,
    /// Whether happenings are forwarded beside readings.
    pub events: bool,
}

/// Where to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Name or address; one of version 6 in brackets.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
}

impl Config {
    /// Whether there is a centre to forward to.
    pub fn is_on(&self) -> bool {
        !self.broker.is_empty()
    }

    /// Every mistake in this section.
    pub fn check(&self) -> Vec<Problem> {
        if !self.is_on() {
            return Vec::new();
        }
        let mut problems = Vec::new();
        let mut problem = |key: &str, message: String| {
            problems.push(Problem::new(format!("upstream.{key}"), message));
        };
        if self.address().is_none() {
            let wanted = "use host:port, such as sen.province.example:1883";
            problem("broker", format!("`{}` names no endpoint: {wanted}", self.broker));
        }
        if self.own_device().is_none() {
            let wanted = "use 1 to 50 of a-z, 0-9, '-' and '_', and for every centre another one";
            problem("client_id", format!("`{}` cannot be a client id: {wanted}", self.client_id));
        }
        if !(1..=LARGEST_WINDOW).contains(&self.window) {
            problem("window", format!("{} is not between 1 and {LARGEST_WINDOW}", self.window));
        }
        if self.username.is_empty() && !self.password_file.is_empty() {
            problem("username", "a password without a name: set both or none".to_owned());
        }
        if let Err(error) = self.password() {
            problem("password_file", format!("cannot read {}: {error}", self.password_file));
        }
        problems
    }

    /// Whether this would send to the endpoint that listens at `listen` (`address:port`) on this
    /// machine: everything would come back for ever.
    pub fn is_sent_to(&self, listen: &str) -> bool {
        let port = listen.rsplit_once(':').map(|(_, port)| port);
        let here = |address: &Address| {
            let is_local = OURSELVES.contains(&address.host.as_str());
            is_local && port == Some(address.port.to_string().as_str())
        };
        self.is_on() && (self.broker == listen || self.address().as_ref().is_some_and(here))
    }

    pub(crate) fn address(&self) -> Option<Address> {
        let (host, port) = self.broker.rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let plain = !host.is_empty() && !host.contains([':', '/', '[', ']', '@']);
        let is_host = (bracketed || plain) && !host.contains(char::is_whitespace);
        is_host.then(|| Address { host: host.to_owned(), port })
    }

    /// As which device the centre above hears what this centre says of itself.
    pub(crate) fn own_device(&self) -> Option<DeviceId> {
        let named = !self.client_id.is_empty();
        DeviceId::new(format!("sen-centre-{}", self.client_id)).ok().filter(|_| named)
    }

    /// The password, without the line break at its end; none if there is none.
    pub(crate) fn password(&self) -> std::io::Result<Option<String>> {
        if self.password_file.is_empty() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(Path::new(&self.password_file))?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Config {
        let shipped: toml::Table =
            include_str!("../../../config/sen.toml").parse().expect("sen.toml is TOML");
        shipped["upstream"].clone().try_into().unwrap()
    }

    #[test]
    fn the_shipped_section_forwards_nowhere_and_every_mistake_is_told() {
        let mut config = shipped();
        assert_eq!((config.check(), config.is_on()), (Vec::new(), false));
        config.broker = "mqtt://province".into();
        config.client_id = "Xã Tân".into();
        config.window = 0;
        config.password_file = "/nonexistent/password".into();
        let problems = config.check();
        let keys: Vec<&str> = problems.iter().map(|problem| problem.key.as_str()).collect();
        let wanted = ["broker", "client_id", "window", "username", "password_file"];
        assert_eq!(keys, wanted.map(|key| format!("upstream.{key}")));
        config = Config { broker: "province.example:1883".into(), ..shipped() };
        let problems = config.check();
        assert_eq!(problems.len(), 1, "a client id is wanted: {problems:?}");
        config.client_id = "tan-thoi".into();
        assert_eq!(config.check(), []);
        assert_eq!(config.own_device().unwrap().as_str(), "sen-centre-tan-thoi");
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        let address = |broker: &str| {
            let config = Config { broker: broker.into(), ..shipped() };
            config.address().map(|address| (address.host, address.port))
        };
        assert_eq!(address("10.1.2.3:1883"), Some(("10.1.2.3".into(), 1_883)));
        assert_eq!(address("[fd00::1]:8883"), Some(("[fd00::1]".into(), 8_883)));
        for bad in ["", "host", "host:", ":1883", "host:0", "a b:1", "fd00::1:1883", "mqtt://h:1"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }

    #[test]
    fn nobody_forwards_to_itself() {
        let cases = [
            ("127.0.0.1:1883", "127.0.0.1:1883", true),
            ("localhost:1883", "0.0.0.0:1883", true),
            ("localhost:1884", "0.0.0.0:1883", false),
            ("province.example:1883", "0.0.0.0:1883", false),
            ("", "", false),
            ("province.example:1883", "off", false),
        ];
        for (broker, listen, wanted) in cases {
            let config = Config { broker: broker.into(), ..shipped() };
            assert_eq!(config.is_sent_to(listen), wanted, "{broker} {listen}");
        }
    }

    #[test]
    fn a_password_is_its_file_without_the_last_line_break() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "bí mật \n").unwrap();
        let path = file.path().display().to_string();
        let config = Config { password_file: path, ..shipped() };
        assert_eq!(config.password().unwrap().as_deref(), Some("bí mật "));
        assert_eq!(shipped().password().unwrap(), None);
    }
}
