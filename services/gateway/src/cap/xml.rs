//! Pure: writes a message. The order of the elements is that of the schema, which fixes it.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};

use super::{Area, Block, CODE_NAME, Message, time};

const NAMESPACE: &str = "urn:oasis:names:tc:emergency:cap:1.2";

/// An XML document under construction.
pub(super) struct Xml(Writer<Vec<u8>>);

impl Xml {
    /// Nothing but the declaration.
    pub(super) fn new() -> io::Result<Self> {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
        Ok(Self(writer))
    }

    /// An element with others in it.
    pub(super) fn element(
        &mut self,
        name: &str,
        attributes: &[(&str, &str)],
        inside: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.0.write_event(Event::Start(start))?;
        inside(self)?;
        self.0.write_event(Event::End(BytesEnd::new(name)))
    }

    /// An element that says all it has in attributes.
    pub(super) fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) -> io::Result<()> {
        let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
        self.0.write_event(Event::Empty(start))
    }

    /// An element with text.
    pub(super) fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        self.0.write_event(Event::Start(BytesStart::new(name)))?;
        self.0.write_event(Event::Text(BytesText::new(&clean(text))))?;
        self.0.write_event(Event::End(BytesEnd::new(name)))
    }

    /// The same, unless there is none.
    pub(super) fn text_if_any(&mut self, name: &str, text: &str) -> io::Result<()> {
        if text.is_empty() { Ok(()) } else { self.text(name, text) }
    }

    /// The whole document.
    pub(super) fn finish(self) -> String {
        let mut bytes = self.0.into_inner();
        bytes.push(b'\n');
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Characters that XML 1.0 does not have in any spelling become the sign for what cannot be shown.
fn clean(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if allowed(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// The message as an XML document.
pub fn document(message: &Message) -> io::Result<String> {
    let mut xml = Xml::new()?;
    xml.element("alert", &[("xmlns", NAMESPACE)], |xml| {
        xml.text("identifier", &message.identifier)?;
        xml.text("sender", &message.sender)?;
        xml.text("sent", &time(message.sent))?;
        xml.text("status", message.status)?;
        xml.text("msgType", message.kind)?;
        xml.text("source", &message.source)?;
        let is_public = message.restriction.is_none();
        xml.text("scope", if is_public { "Public" } else { "Restricted" })?;
        xml.text_if_any("restriction", message.restriction.as_deref().unwrap_or_default())?;
        xml.text_if_any("note", message.note.unwrap_or_default())?;
        xml.text_if_any("references", &message.references)?;
        message.blocks.iter().try_for_each(|block| information(xml, block))
    })?;
    Ok(xml.finish())
}

fn information(xml: &mut Xml, block: &Block) -> io::Result<()> {
    xml.element("info", &[], |xml| {
        xml.text("language", block.language)?;
        xml.text("category", block.category)?;
        xml.text("event", &block.event)?;
        xml.text("responseType", block.response)?;
        xml.text("urgency", block.urgency)?;
        xml.text("severity", block.severity)?;
        xml.text("certainty", "Observed")?;
        xml.text("effective", &time(block.effective))?;
        xml.text("onset", &time(block.onset))?;
        xml.text("expires", &time(block.expires))?;
        xml.text_if_any("senderName", &block.sender_name)?;
        xml.text("headline", &block.headline)?;
        xml.text("description", &block.description)?;
        xml.text_if_any("instruction", &block.instruction)?;
        for (name, value) in &block.parameters {
            pair(xml, "parameter", name, value)?;
        }
        area(xml, &block.area)
    })
}

fn area(xml: &mut Xml, area: &Area) -> io::Result<()> {
    xml.element("area", &[], |xml| {
        xml.text("areaDesc", &area.description)?;
        for polygon in &area.polygons {
            xml.text("polygon", polygon)?;
        }
        xml.text_if_any("circle", area.circle.as_deref().unwrap_or_default())?;
        match &area.code {
            Some(code) => pair(xml, "geocode", CODE_NAME, code),
            None => Ok(()),
        }
    })
}

fn pair(xml: &mut Xml, name: &str, value_name: &str, value: &str) -> io::Result<()> {
    xml.element(name, &[], |xml| {
        xml.text("valueName", value_name)?;
        xml.text("value", value)
    })
}
