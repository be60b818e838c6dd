//! The channels of `oncall.toml`: mails, push messages, webhooks, and what HTTP may reach. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use super::table::Table;
use super::{
    APP, EMAIL, Email, Expected, OnCall, PUSH, Push, ReadSecret, Security, Webhook, duration_within,
};
use crate::egress::address::Allow;
use crate::letter;
use crate::secret::Secret;

/// Webhooks at most.
const MOST_WEBHOOKS: usize = 32;
/// Longest template, in bytes.
const TEMPLATE_BYTES: usize = 16 << 10;
/// Where a mail relay listens.
const SMTP_PORT: u16 = 25;
/// How long one mail may take if nothing else is said.
const MAIL_TIMEOUT_MS: i64 = 20_000;
/// How long a push message is kept for a phone that is off: longer, and it is stale news.
const PUSH_TTL: &str = "1h";

/// Takes the sections of the channels.
pub(super) fn read(file: &mut Table<'_>, on: &mut OnCall, secret: ReadSecret<'_>) {
    if let Some(mut table) = file.inner("egress") {
        on.allow = allow(&mut table);
        table.nothing_left();
    }
    if let Some(mut table) = file.inner("email") {
        on.email = email(&mut table, secret);
        table.nothing_left();
    }
    if let Some(mut table) = file.inner("push") {
        let contact = table.need("contact", |text: String| {
            let right = text.starts_with("mailto:") || text.starts_with("https://");
            if right { Ok(text) } else { Err("write mailto:… or https://…".to_owned()) }
        });
        let ttl = table.take("ttl", |text: String| duration_within(&text, 1_000, "28d"));
        let usual = || duration_within(PUSH_TTL, 0, "28d").unwrap_or_default();
        let ttl_s = (ttl.unwrap_or_else(usual) / 1_000).unsigned_abs();
        let allow = allow(&mut table);
        on.push = contact.map(|contact| Push { contact, ttl_s, allow });
        table.nothing_left();
    }
    for mut table in file.each("webhook", MOST_WEBHOOKS) {
        let webhook = webhook(&mut table, on, secret);
        on.webhooks.extend(webhook);
        table.nothing_left();
    }
}

fn allow(table: &mut Table<'_>) -> Allow {
    let texts = table.list("allow", |text| Allow::parse(&[text.to_owned()]).map(drop));
    Allow::parse(&texts).unwrap_or_default()
}

fn email(table: &mut Table<'_>, secret: ReadSecret<'_>) -> Option<Email> {
    let relay = table.need("relay", |text: String| host_and_port(&text));
    let security = table.need("security", |text: String| match text.as_str() {
        "none" => Ok(Security::None),
        "starttls" => Ok(Security::StartTls),
        "tls" => Ok(Security::Tls),
        _ => Err("write \"none\", \"starttls\" or \"tls\"".to_owned()),
    });
    let from = table.need("from", |text: String| mailbox(&text).map(|()| text));
    let user = table.take("user", Ok::<String, String>);
    let password = secret_of(table, "password_file", secret);
    let timeout = table.take("timeout", |text: String| duration_within(&text, 100, "2m"));
    let login = match (user, password) {
        (Some(user), Some(password)) => Some((user, password)),
        (None, None) => None,
        _ => {
            table.problem("user", "give both, user and password_file, or none of them");
            None
        }
    };
    if login.is_some() && security == Some(Security::None) {
        table.problem("security", "a password needs \"starttls\" or \"tls\"");
    }
    let (host, port) = relay?;
    let timeout_ms = timeout.unwrap_or(MAIL_TIMEOUT_MS).unsigned_abs();
    Some(Email { host, port, security: security?, from: from?, login, timeout_ms })
}

fn webhook(table: &mut Table<'_>, on: &OnCall, secret: ReadSecret<'_>) -> Option<Webhook> {
    let name = table.need("name", |text: String| {
        if [APP, EMAIL, PUSH].contains(&text.as_str()) {
            return Err(format!("`{text}` is a channel of its own"));
        }
        if on.webhooks.iter().any(|known| known.name == text) {
            return Err(format!("there is another webhook `{text}`"));
        }
        id(&text).map(|()| text)
    });
    if let Some(name) = &name {
        table.call(format!("webhook.{name}"));
    }
    let url = url(table, on, secret);
    let method = table.take("method", |text: String| {
        let known = ["POST", "PUT", "GET"].contains(&text.as_str());
        if known { Ok(text) } else { Err("write POST, PUT or GET".to_owned()) }
    });
    let headers = headers(table, secret);
    let values = secrets_of(table, "value_files", secret);
    let body = table.take("body", |text: String| {
        if text.len() > TEMPLATE_BYTES {
            return Err(format!("more than {TEMPLATE_BYTES} bytes"));
        }
        letter::check_template(&text, &values).map(|()| text)
    });
    let secret = secret_of(table, "secret_file", secret);
    let answer = table.inner("answer").and_then(|mut table| {
        let pointer = table.need("pointer", |text: String| {
            let right = text.starts_with('/');
            if right { Ok(text) } else { Err("write a JSON pointer: /error".to_owned()) }
        });
        let value = table.need("equals", |value: toml::Value| {
            serde_json::to_value(value).map_err(|error| error.to_string())
        });
        table.nothing_left();
        Some(Expected { pointer: pointer?, value: value? })
    });
    let method = method.unwrap_or_else(|| "POST".to_owned());
    Some(Webhook { name: name?, url: url?, method, headers, body, values, secret, answer })
}

/// A URL in place, or in a file if a secret is part of it.
pub(super) fn url(table: &mut Table<'_>, on: &OnCall, secret: ReadSecret<'_>) -> Option<Secret> {
    let span = table.span_of("url_file");
    let in_file = secret_of(table, "url_file", secret);
    let check = |url: Secret| {
        let checked = crate::egress::check_url(url.reveal(), &on.allow);
        checked.map(|()| url).map_err(|error| error.to_string())
    };
    let Some(url) = in_file else {
        return table.need("url", |text: String| check(Secret::new(text)));
    };
    check(url).map_err(|fault| table.problem_at(span, "url_file", fault)).ok()
}

fn headers(table: &mut Table<'_>, read: ReadSecret<'_>) -> Vec<(String, Secret)> {
    let check = |name: &str, value: &str| {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(token) || value.contains(char::is_control) {
            return Err(format!("`{name}` cannot be a header"));
        }
        Ok(())
    };
    let plain = table.take("headers", |headers: BTreeMap<String, String>| {
        for (name, value) in &headers {
            check(name, value)?;
        }
        Ok(headers)
    });
    let span = table.span_of("header_files");
    let secret = secrets_of(table, "header_files", read);
    for (name, value) in &secret {
        if let Err(fault) = check(name, value.reveal()) {
            table.problem_at(span.clone(), "header_files", fault);
        }
    }
    let plain = plain.unwrap_or_default().into_iter();
    plain.map(|(name, value)| (name, Secret::new(value))).chain(secret).collect()
}

/// What files with secrets hold, by name.
fn secrets_of(table: &mut Table<'_>, key: &str, read: ReadSecret<'_>) -> BTreeMap<String, Secret> {
    let secrets = table.take(key, |files: BTreeMap<String, String>| {
        let each = |(name, path): (String, String)| {
            let secret = read(Path::new(&path)).map_err(|error| format!("{path}: {error}"))?;
            Ok((name, secret))
        };
        files.into_iter().map(each).collect::<Result<BTreeMap<_, _>, String>>()
    });
    secrets.unwrap_or_default()
}

/// What a file with a secret holds.
fn secret_of(table: &mut Table<'_>, key: &str, read: ReadSecret<'_>) -> Option<Secret> {
    table.take(key, |path: String| {
        read(Path::new(&path)).map_err(|error| format!("{path}: {error}"))
    })
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("`{text}` is no relay: write mail.example.vn or 127.0.0.1:25");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
        None => (text, SMTP_PORT),
    };
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

/// Whether a text is a mail address, with or without a name before it.
pub(super) fn mailbox(text: &str) -> Result<(), String> {
    let parsed = text.parse::<lettre::message::Mailbox>();
    parsed.map(drop).map_err(|_| "this is no mail address".to_owned())
}

/// Ids stand in paths, topics and headers.
pub(super) fn id(text: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let right = (1..=64).contains(&text.len()) && text.bytes().all(plain);
    if right { Ok(()) } else { Err("use 1 to 64 of a-z, 0-9 and '-'".to_owned()) }
}
