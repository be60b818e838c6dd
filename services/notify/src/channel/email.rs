//! Letters as mails (RFC 5321, 5322): Vietnamese first, then English.

use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use sen_model::{Severity, Text};

use super::{Brought, Courier, Trip, Way};
use crate::letter::Letter;
use crate::settings::{Email, Security};

/// The channel `email`.
pub(crate) struct Mail {
    relay: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    timeout: Duration,
}

/// Why there can be no mails.
#[derive(Debug, thiserror::Error)]
#[error("mails cannot be sent: {0}")]
pub struct MailError(String);

impl Mail {
    /// Through the relay that the settings name; connects to nobody yet.
    pub(crate) fn new(settings: &Email) -> Result<Self, MailError> {
        let tls = || {
            TlsParameters::new(settings.host.clone()).map_err(|error| MailError(error.to_string()))
        };
        let tls = match settings.security {
            Security::None => Tls::None,
            Security::StartTls => Tls::Required(tls()?),
            Security::Tls => Tls::Wrapper(tls()?),
        };
        let timeout = Duration::from_millis(settings.timeout_ms);
        let mut relay = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&settings.host)
            .port(settings.port)
            .tls(tls)
            .timeout(Some(timeout));
        if let Some((user, password)) = &settings.login {
            let login = Credentials::new(user.clone(), password.reveal().to_owned());
            relay = relay.credentials(login);
        }
        let from =
            settings.from.parse().map_err(|_| MailError("`from` is no address".to_owned()))?;
        Ok(Self { relay: relay.build(), from, timeout })
    }

    fn message(&self, letter: &Letter) -> Option<Message> {
        let address = letter.to.email.as_ref()?.parse::<Mailbox>().ok()?;
        let to = Mailbox::new(Some(letter.to.name.clone()), address.email);
        let domain = self.from.email.domain();
        let after_epoch = Duration::from_millis(letter.at.as_millis().max(0).unsigned_abs());
        let Text { vi, en } = &letter.words.body;
        let part = |language: &'static str, text: &str| {
            SinglePart::builder()
                .header(ContentType::TEXT_PLAIN)
                .header(ContentLanguage(language))
                .body(text.to_owned())
        };
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.own(&letter.words.subject))
            .date(UNIX_EPOCH + after_epoch)
            .message_id(Some(format!("<{}@{domain}>", letter.key)))
            .header(AutoSubmitted)
            .header(Importance(letter.severity));
        let parts = MultiPart::mixed().singlepart(part("vi", vi)).singlepart(part("en", en));
        message.multipart(parts).ok()
    }

    async fn send(&self, message: Message) -> Brought {
        let again = |why: &str| Brought::Again(why.to_owned(), Duration::ZERO);
        let Ok(sent) = tokio::time::timeout(self.timeout, self.relay.send(message)).await else {
            return again("no answer in time");
        };
        let Err(error) = sent else { return Brought::Taken };
        // A relay's own words repeat addresses; the code says enough.
        match error.status() {
            Some(code) if error.is_permanent() => Brought::Refused(format!("SMTP {code}")),
            Some(code) => again(&format!("SMTP {code}")),
            None if error.is_timeout() => again("no answer in time"),
            None if error.is_tls() => again("no private way to the relay"),
            None => again("no connection, or it broke off"),
        }
    }
}

impl Courier for Mail {
    fn bring<'a>(&'a self, letter: &'a Letter) -> Way<'a> {
        Box::pin(async move {
            let brought = match self.message(letter) {
                Some(message) => self.send(message).await,
                None => Brought::Refused("no mail can be made for this person".to_owned()),
            };
            Trip::from(brought)
        })
    }
}

/// RFC 3282: in which language a part is.
#[derive(Clone)]
struct ContentLanguage(&'static str);

/// RFC 3834: no holiday replies, please.
#[derive(Clone)]
struct AutoSubmitted;

/// RFC 2156: what mail programs show with a mark.
#[derive(Clone)]
struct Importance(Severity);

/// These headers are only ever written.
type Unread = Box<dyn std::error::Error + Send + Sync>;

impl Header for ContentLanguage {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Content-Language")
    }

    fn parse(_: &str) -> Result<Self, Unread> {
        Err("not read".into())
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), self.0.to_owned())
    }
}

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Unread> {
        Err("not read".into())
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

impl Header for Importance {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Importance")
    }

    fn parse(_: &str) -> Result<Self, Unread> {
        Err("not read".into())
    }

    fn display(&self) -> HeaderValue {
        let importance = if self.0 <= Severity::HIGH { "high" } else { "normal" };
        HeaderValue::new(Self::name(), importance.to_owned())
    }
}
