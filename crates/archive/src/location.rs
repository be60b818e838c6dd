//! Where an archive is, in one line of configuration. Pure: text in, a location out.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

/// A server and what to use there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// `influxdb+http://host:8086/?org=sen&bucket=sen`
    InfluxDb {
        /// `http://host:8086/`
        base: Url,
        /// The organisation's name.
        org: String,
        /// The bucket's name; made at start if it is missing.
        bucket: String,
    },
    /// `victoriametrics+http://host:8428`, or with a path before everything (`-http.pathPrefix`).
    VictoriaMetrics {
        /// `http://host:8428/`, with a slash at its end.
        base: Url,
    },
}

/// Why a line is no location; says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLocation {
    /// Neither of the two.
    #[error(
        "`{0}` is no archive: write influxdb+http://host:8086/?org=…&bucket=… or \
         victoriametrics+http://host:8428"
    )]
    Unknown(String),
    /// TLS.
    #[error(
        "an archive is spoken to in plain HTTP: put a TLS proxy (stunnel, nginx, Caddy) beside Sen \
         and name its loopback address here, with {0}+http"
    )]
    Tls(&'static str),
    /// No such address.
    #[error("the archive's address cannot be read: {0}")]
    Address(String),
    /// A user or a password.
    #[error("leave user and password out of the archive's address: the token comes from a file")]
    Credentials,
    /// A parameter is missing.
    #[error("the archive's address lacks `{0}=…`")]
    Missing(&'static str),
    /// A parameter that means nothing.
    #[error("the archive's address has `{0}`, which means nothing there")]
    Surplus(String),
    /// InfluxDB below a path.
    #[error("InfluxDB cannot stand below a path (`{0}`): give it a port or a host name of its own")]
    Path(String),
}

impl FromStr for Location {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || InvalidLocation::Unknown(text.chars().take(80).collect());
        let (kind, address) = text.trim().split_once('+').ok_or_else(unknown)?;
        let kind = match kind {
            "influxdb" => "influxdb",
            "victoriametrics" => "victoriametrics",
            _ => return Err(unknown()),
        };
        let mut base = plain_http(kind, address).ok_or_else(unknown)??;
        let mut parameters = parameters(&base)?;
        base.set_query(None);
        if kind == "influxdb" {
            if base.path() != "/" {
                return Err(InvalidLocation::Path(base.path().to_owned()));
            }
            let org = parameters.take("org")?;
            let bucket = parameters.take("bucket")?;
            parameters.end()?;
            return Ok(Self::InfluxDb { base, org, bucket });
        }
        parameters.end()?;
        if !base.path().ends_with('/') {
            // Or the last part of the path would be replaced when paths are joined to it.
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self::VictoriaMetrics { base })
    }
}

/// The address, if it begins as one of plain HTTP; `None` if it is nothing of the kind.
fn plain_http(kind: &'static str, address: &str) -> Option<Result<Url, InvalidLocation>> {
    if address.starts_with("https://") {
        return Some(Err(InvalidLocation::Tls(kind)));
    }
    address.starts_with("http://").then(|| {
        let url: Url =
            address.parse().map_err(|error| InvalidLocation::Address(format!("{error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidLocation::Credentials);
        }
        if let Some(fragment) = url.fragment() {
            return Err(InvalidLocation::Surplus(format!("#{fragment}")));
        }
        Ok(url)
    })
}

struct Parameters(Vec<(String, String)>);

fn parameters(url: &Url) -> Result<Parameters, InvalidLocation> {
    let pairs = url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned()));
    let pairs: Vec<_> = pairs.collect();
    match pairs.iter().find(|(_, value)| value.chars().any(char::is_control)) {
        Some((key, _)) => Err(InvalidLocation::Surplus(key.clone())),
        None => Ok(Parameters(pairs)),
    }
}

impl Parameters {
    fn take(&mut self, key: &'static str) -> Result<String, InvalidLocation> {
        let at = self.0.iter().position(|(name, value)| name == key && !value.is_empty());
        at.map(|at| self.0.remove(at).1).ok_or(InvalidLocation::Missing(key))
    }

    fn end(self) -> Result<(), InvalidLocation> {
        match self.0.into_iter().next() {
            Some((key, _)) => Err(InvalidLocation::Surplus(key)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InfluxDb { base, org, bucket } => {
                write!(f, "InfluxDB at {base}, organisation {org}, bucket {bucket}")
            }
            Self::VictoriaMetrics { base } => write!(f, "VictoriaMetrics at {base}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read() {
        let influx = "influxdb+http://127.0.0.1:8086/?org=sen&bucket=s%C3%A9n".parse();
        let base: Url = "http://127.0.0.1:8086/".parse().unwrap();
        assert_eq!(
            influx,
            Ok(Location::InfluxDb { base, org: "sen".into(), bucket: "sén".into() })
        );
        for (text, expected) in [
            ("victoriametrics+http://db", "http://db/"),
            ("victoriametrics+http://db:8428/a/b", "http://db:8428/a/b/"),
        ] {
            let Ok(Location::VictoriaMetrics { base }) = text.parse() else { panic!("{text}") };
            assert_eq!(base.as_str(), expected);
        }
    }

    #[test]
    fn everything_else_says_what_to_do() {
        for (text, part) in [
            ("", "write influxdb+http"),
            ("http://db:8086", "write influxdb+http"),
            ("mysql+http://db", "write influxdb+http"),
            ("influxdb+ftp://db", "write influxdb+http"),
            ("influxdb+https://db/?org=a&bucket=b", "TLS proxy"),
            ("influxdb+http://", "cannot be read"),
            ("influxdb+http://db:99999/?org=a&bucket=b", "cannot be read"),
            ("influxdb+http://db/?bucket=b", "lacks `org"),
            ("influxdb+http://db/?org=a&bucket=", "lacks `bucket"),
            ("influxdb+http://db/?org=a&bucket=b&token=c", "`token`"),
            ("influxdb+http://db/?org=a%0A&bucket=b", "`org`"),
            ("influxdb+http://db/x?org=a&bucket=b", "below a path"),
            ("influxdb+http://u:p@db/?org=a&bucket=b", "from a file"),
            ("victoriametrics+http://db/#x", "#x"),
            ("victoriametrics+http://db/?org=x", "`org`"),
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
