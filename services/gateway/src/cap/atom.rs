//! Pure: the feed of messages (Atom, RFC 4287).

use std::io;

use sen_model::{AlertRecord, Timestamp};

use super::xml::Xml;
use super::{Issuer, identifier, severity, time};

/// Messages of the feed, the newest ones.
pub const MOST_ENTRIES: usize = 200;
/// The media type of a message.
pub const MEDIA_TYPE: &str = "application/cap+xml";
/// Where a message is; the id of the alert stands between.
const PATH: [&str; 2] = ["/api/v1/alerts/", "/cap"];
const SELF: &str = "/api/v1/cap.atom";
const NAMESPACE: &str = "http://www.w3.org/2005/Atom";

/// The feed of these alerts, the newest change first; `begun` stands in where there are none.
pub fn feed(alerts: &[&AlertRecord], issuer: &Issuer, begun: Timestamp) -> io::Result<String> {
    let updated = alerts.iter().map(|record| record.recorded_at).max().unwrap_or(begun);
    let mut xml = Xml::new()?;
    xml.element("feed", &[("xmlns", NAMESPACE), ("xml:lang", "vi-VN")], |xml| {
        xml.text("id", &format!("urn:sen:cap:{}", urn(&issuer.sender)))?;
        xml.text("title", &format!("{} / {}", issuer.name.vi, issuer.name.en))?;
        xml.text("updated", &time(updated))?;
        xml.element("author", &[], |xml| xml.text("name", &issuer.name.vi))?;
        xml.empty("link", &[("rel", "self"), ("href", SELF)])?;
        alerts.iter().try_for_each(|record| entry(xml, record))
    })?;
    Ok(xml.finish())
}

fn entry(xml: &mut Xml, record: &AlertRecord) -> io::Result<()> {
    let href = format!("{}{}{}", PATH[0], urn(record.id.as_str()), PATH[1]);
    xml.element("entry", &[], |xml| {
        // The alert's, not the revision's: readers of the feed take a later one in its place.
        xml.text("id", &format!("urn:sen:alert:{}", urn(record.id.as_str())))?;
        let drill = if record.drill { "[Diễn tập / Drill] " } else { "" };
        xml.text("title", &format!("{drill}{} / {}", record.text.vi, record.text.en))?;
        xml.text("updated", &time(record.recorded_at))?;
        xml.text("published", &time(record.started_at))?;
        xml.empty("category", &[("term", severity(record.severity))])?;
        xml.empty("link", &[("rel", "alternate"), ("type", MEDIA_TYPE), ("href", &href)])?;
        xml.text("summary", &identifier(record.id.as_str(), record.rev))
    })
}

/// Only what may stand in a URN as it is.
fn urn(text: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    text.chars().filter(allowed).collect()
}
