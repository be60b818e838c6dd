//! What `oncall.toml` says, as values. Pure: [`OnCall::parse`] gives all of it or every mistake.
//!
//! Contact details and secrets print as `…`: they never reach a log, a metric or a topic.

mod channels;
mod plan;
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use sen_chassis::Problem;
use sen_model::{OnCallRecord, Registry, Rule};

use crate::egress::address::Allow;
use crate::policy::{Policy, Quiet};
use crate::roster::Team;
use crate::secret::Secret;
use table::Source;

/// The channel that sends nothing: the screens show the alert, and an answer is waited for.
pub(crate) const APP: &str = "app";
/// The channel of mails.
pub(crate) const EMAIL: &str = "email";
/// The channel of push messages.
pub(crate) const PUSH: &str = "push";

/// Who is called, when, and how.
#[derive(Clone, Debug, Default)]
pub struct OnCall {
    /// Everybody, by id.
    pub(crate) people: BTreeMap<String, Arc<Contact>>,
    /// The teams.
    pub(crate) teams: Vec<Team>,
    /// Overrides and absences.
    pub(crate) entries: Vec<OnCallRecord>,
    /// Which alerts call whom; the first that matches counts.
    pub(crate) policies: Vec<Policy>,
    /// When only critical alerts call anybody.
    pub(crate) quiet: Vec<Quiet>,
    /// Mails, if they can be sent.
    pub(crate) email: Option<Email>,
    /// Push messages, if they can be sent.
    pub(crate) push: Option<Push>,
    /// Webhooks, by name.
    pub(crate) webhooks: Vec<Webhook>,
    /// What webhooks and heartbeats may reach beside the public internet.
    pub(crate) allow: Allow,
    /// Who is told when alerting itself has stopped.
    pub(crate) dead_man: Option<DeadMan>,
}

/// A person with their contact details.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) language: Language,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    /// How they are called on a webhook's side, by the name of the webhook.
    pub(crate) addresses: BTreeMap<String, String>,
    /// The channels they can be reached by.
    pub(crate) channels: Vec<String>,
}

/// In which language somebody is spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Language {
    #[default]
    Vietnamese,
    English,
}

/// How mails are sent.
#[derive(Clone, Debug)]
pub(crate) struct Email {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    /// `Sen <sen@example.vn>`.
    pub(crate) from: String,
    pub(crate) login: Option<(String, Secret)>,
    /// How long one mail may take.
    pub(crate) timeout_ms: u64,
}

/// How the way to the mail relay is kept private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Security {
    /// Not at all: a relay on this machine or in this room.
    None,
    /// TLS after STARTTLS, or no mail.
    StartTls,
    /// TLS from the beginning.
    Tls,
}

/// How push messages are sent.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    /// Where a push service may complain: `mailto:…` or `https://…`.
    pub(crate) contact: String,
    /// How long a push service keeps a message for a phone that is off, in seconds.
    pub(crate) ttl_s: u64,
    /// Push services inside the centre. Anybody can tell a browser's address, so that the list of
    /// webhooks does not count here.
    pub(crate) allow: Allow,
}

/// How a webhook is called.
#[derive(Clone, Debug)]
pub(crate) struct Webhook {
    pub(crate) name: String,
    pub(crate) url: Secret,
    pub(crate) method: String,
    pub(crate) headers: Vec<(String, Secret)>,
    /// A template; none = the whole letter as JSON.
    pub(crate) body: Option<String>,
    /// What the template calls `secret.name`, by name.
    pub(crate) values: BTreeMap<String, Secret>,
    /// What signs the body.
    pub(crate) secret: Option<Secret>,
    /// What an answer must hold, beside a status of 2xx, to be a success.
    pub(crate) answer: Option<Expected>,
}

/// A place in a JSON answer and what must stand there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expected {
    /// RFC 6901.
    pub(crate) pointer: String,
    pub(crate) value: serde_json::Value,
}

/// Who is told when alerting itself has stopped.
#[derive(Clone, Debug)]
pub(crate) struct DeadMan {
    /// So long without a record of the probe means that alerting has stopped.
    pub(crate) silence_ms: u64,
    pub(crate) people: Vec<String>,
    pub(crate) teams: Vec<String>,
    /// All of these are used at once.
    pub(crate) channels: Vec<String>,
    pub(crate) heartbeat: Option<Heartbeat>,
}

/// A sign of life to somebody outside.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat {
    pub(crate) url: Secret,
    pub(crate) method: String,
    pub(crate) every_ms: u64,
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contact({})", self.id)
    }
}

impl Contact {
    /// Whether they can be reached by a channel at all.
    pub(crate) fn has(&self, channel: &str) -> bool {
        self.channels.iter().any(|known| known == channel)
    }

    /// Whether this is how somebody on a screen may have called them.
    pub(crate) fn is(&self, by: &str) -> bool {
        self.id == by || self.name == by
    }
}

/// Reads a file that holds a secret.
pub type ReadSecret<'a> = &'a dyn Fn(&Path) -> Result<Secret, String>;

impl OnCall {
    /// Reads `oncall.toml`: all of it, or every mistake with its line and key. Secrets stand in
    /// files of their own, which `read_secret` reads. Names of rules and areas are checked as far
    /// as those are known.
    pub fn parse(
        text: &str,
        rules: Option<&[Rule]>,
        registry: Option<&Registry>,
        read_secret: ReadSecret<'_>,
    ) -> Result<Self, Vec<Problem>> {
        let source = Source::new(text);
        let read = source.table().map(|mut file| {
            let mut on = Self::default();
            channels::read(&mut file, &mut on, read_secret);
            plan::read(&mut file, &mut on, rules, registry, read_secret);
            file.nothing_left();
            on
        });
        let problems = source.finish();
        match read {
            Some(on) if problems.is_empty() => Ok(on),
            _ => Err(problems),
        }
    }

    /// How many people and teams there are.
    pub fn counts(&self) -> (usize, usize) {
        (self.people.len(), self.teams.len())
    }

    /// Whether a channel of this name is set up.
    pub(crate) fn has_channel(&self, name: &str) -> bool {
        match name {
            APP => true,
            EMAIL => self.email.is_some(),
            PUSH => self.push.is_some(),
            name => self.webhooks.iter().any(|webhook| webhook.name == name),
        }
    }
}

/// Milliseconds of `500ms`, `30s`, `5m`, `2h` or `1d`.
fn duration(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no duration: write 30s, 5m, 2h or 1d");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: i64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit).ok_or_else(wrong)
}

/// As [`duration`], within bounds.
fn duration_within(text: &str, from_ms: i64, to: &str) -> Result<i64, String> {
    let (ms, most) = (duration(text)?, duration(to)?);
    if (from_ms..=most).contains(&ms) {
        Ok(ms)
    } else {
        Err(format!("{text} is too short or longer than {to}"))
    }
}
