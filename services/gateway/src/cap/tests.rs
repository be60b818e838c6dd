//! Every document against the rules of the OASIS schema of CAP 1.2, written here as data and checked
//! by a reader that knows nothing of the writer; and whole documents against goldens.

use proptest::prelude::*;
use quick_xml::Reader;
use quick_xml::events::Event;
use sen_model::alert::{Acknowledgement, Change};
use sen_model::{AlertRecord, AlertState, AreaCode, Field, Severity, Text, Timestamp};

use super::atom::feed;
use super::{Around, Issuer, document, identifier, message, time};
use crate::map::rings::Ring;
use crate::sample;

/// An element of a document.
#[derive(Debug, Default)]
struct Node {
    name: String,
    namespace: Option<String>,
    text: String,
    inside: Vec<Node>,
}

impl Node {
    fn all(&self, name: &str) -> Vec<&Node> {
        self.inside.iter().filter(|node| node.name == name).collect()
    }

    fn one(&self, name: &str) -> &str {
        let found = self.all(name);
        assert_eq!(found.len(), 1, "{name} in {}", self.name);
        &found[0].text
    }
}

/// Reads a document; the root is the only one inside of what is given back.
fn read(document: &str) -> Node {
    let mut reader = Reader::from_str(document);
    let mut open = vec![Node::default()];
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(start) => {
                let name = start.name();
                let mut node = Node { name: text_of(name.as_ref()), ..Node::default() };
                for attribute in start.attributes() {
                    let attribute = attribute.expect("an attribute");
                    if text_of(attribute.key.as_ref()) == "xmlns" {
                        node.namespace = Some(text_of(&attribute.value));
                    }
                }
                open.push(node);
            }
            Event::End(_) => {
                let mut node = open.pop().unwrap();
                if !node.inside.is_empty() {
                    assert!(
                        node.text.trim().is_empty(),
                        "text between the elements of {}",
                        node.name
                    );
                    node.text.clear();
                }
                open.last_mut().unwrap().inside.push(node);
            }
            Event::Text(text) => open.last_mut().unwrap().text.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let named = text_of(reference.as_ref());
                let c =
                    reference.resolve_char_ref().expect("a reference").unwrap_or_else(
                        || match named.as_str() {
                            "lt" => '<',
                            "gt" => '>',
                            "amp" => '&',
                            "quot" => '"',
                            "apos" => '\'',
                            other => panic!("&{other}; is not of XML"),
                        },
                    );
                open.last_mut().unwrap().text.push(c);
            }
            Event::Decl(_) | Event::Empty(_) => {}
            Event::Eof => break,
            other => panic!("unexpected: {other:?}"),
        }
    }
    assert_eq!(open.len(), 1, "everything that begins ends");
    let mut root = open.pop().unwrap();
    assert_eq!(root.inside.len(), 1, "one root");
    root.inside.pop().unwrap()
}

fn text_of(text: impl AsRef<str>) -> String {
    text.as_ref().to_owned()
}

/// What may stand in an element.
enum Content {
    /// Any text.
    Any,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[-,+]\d\d:\d\d`
    Time,
    /// A language as in RFC 3066.
    Language,
    /// At least one character; neither white space, comma, `<` nor `&`.
    Identifier,
    /// `sender,identifier,sent`, several with spaces between.
    References,
    /// `lat,lon lat,lon …`, at least four, the last is the first.
    Polygon,
    /// `lat,lon radius`.
    Circle,
    /// These, in this order.
    Sequence(&'static [Rule]),
}

/// An element of a sequence: its name, how often at least and at most, what is in it.
struct Rule(&'static str, usize, usize, Content);

const MANY: usize = usize::MAX;
use Content::{Any, Circle, Identifier, Language, OneOf, Polygon, References, Sequence, Time};

const PAIR: &[Rule] = &[Rule("valueName", 1, 1, Any), Rule("value", 1, 1, Any)];

const AREA: &[Rule] = &[
    Rule("areaDesc", 1, 1, Any),
    Rule("polygon", 0, MANY, Polygon),
    Rule("circle", 0, MANY, Circle),
    Rule("geocode", 0, MANY, Sequence(PAIR)),
    Rule("altitude", 0, 1, Any),
    Rule("ceiling", 0, 1, Any),
];

const RESOURCE: &[Rule] = &[
    Rule("resourceDesc", 1, 1, Any),
    Rule("mimeType", 1, 1, Any),
    Rule("size", 0, 1, Any),
    Rule("uri", 0, 1, Any),
    Rule("derefUri", 0, 1, Any),
    Rule("digest", 0, 1, Any),
];

const CATEGORY: &[&str] = &[
    "Geo",
    "Met",
    "Safety",
    "Security",
    "Rescue",
    "Fire",
    "Health",
    "Env",
    "Transport",
    "Infra",
    "CBRNE",
    "Other",
];
const RESPONSE: &[&str] = &[
    "Shelter", "Evacuate", "Prepare", "Execute", "Avoid", "Monitor", "Assess", "AllClear", "None",
];

const INFO: &[Rule] = &[
    Rule("language", 0, 1, Language),
    Rule("category", 1, MANY, OneOf(CATEGORY)),
    Rule("event", 1, 1, Any),
    Rule("responseType", 0, MANY, OneOf(RESPONSE)),
    Rule("urgency", 1, 1, OneOf(&["Immediate", "Expected", "Future", "Past", "Unknown"])),
    Rule("severity", 1, 1, OneOf(&["Extreme", "Severe", "Moderate", "Minor", "Unknown"])),
    Rule("certainty", 1, 1, OneOf(&["Observed", "Likely", "Possible", "Unlikely", "Unknown"])),
    Rule("audience", 0, 1, Any),
    Rule("eventCode", 0, MANY, Sequence(PAIR)),
    Rule("effective", 0, 1, Time),
    Rule("onset", 0, 1, Time),
    Rule("expires", 0, 1, Time),
    Rule("senderName", 0, 1, Any),
    Rule("headline", 0, 1, Any),
    Rule("description", 0, 1, Any),
    Rule("instruction", 0, 1, Any),
    Rule("web", 0, 1, Any),
    Rule("contact", 0, 1, Any),
    Rule("parameter", 0, MANY, Sequence(PAIR)),
    Rule("resource", 0, MANY, Sequence(RESOURCE)),
    Rule("area", 0, MANY, Sequence(AREA)),
];

const ALERT: &[Rule] = &[
    Rule("identifier", 1, 1, Identifier),
    Rule("sender", 1, 1, Identifier),
    Rule("sent", 1, 1, Time),
    Rule("status", 1, 1, OneOf(&["Actual", "Exercise", "System", "Test", "Draft"])),
    Rule("msgType", 1, 1, OneOf(&["Alert", "Update", "Cancel", "Ack", "Error"])),
    Rule("source", 0, 1, Any),
    Rule("scope", 1, 1, OneOf(&["Public", "Restricted", "Private"])),
    Rule("restriction", 0, 1, Any),
    Rule("addresses", 0, 1, Any),
    Rule("code", 0, MANY, Any),
    Rule("note", 0, 1, Any),
    Rule("references", 0, 1, References),
    Rule("incidents", 0, 1, Any),
    Rule("info", 0, MANY, Sequence(INFO)),
];

/// Everything that is wrong with a document.
fn mistakes(root: &Node) -> Vec<String> {
    let mut mistakes = Vec::new();
    if root.name != "alert"
        || root.namespace.as_deref() != Some("urn:oasis:names:tc:emergency:cap:1.2")
    {
        mistakes.push(format!("the root is {} of {:?}", root.name, root.namespace));
    }
    sequence(root, ALERT, &mut mistakes);
    // What the specification asks for and the schema cannot say.
    let has = |name: &str| !root.all(name).is_empty();
    let says = |name: &str, text: &str| root.all(name).iter().any(|node| node.text == text);
    if says("scope", "Restricted") != has("restriction") {
        mistakes.push("a restriction belongs to scope Restricted".to_owned());
    }
    if says("msgType", "Alert") == has("references") {
        mistakes.push("updates and cancels refer to earlier messages, and only they".to_owned());
    }
    mistakes
}

fn sequence(node: &Node, rules: &[Rule], mistakes: &mut Vec<String>) {
    let mut rest = node.inside.as_slice();
    for Rule(name, least, most, content) in rules {
        let count = rest.iter().take_while(|node| node.name == *name).count();
        let (these, others) = rest.split_at(count);
        rest = others;
        if count < *least || count > *most {
            mistakes.push(format!("{count} times {name} in {}", node.name));
        }
        these.iter().for_each(|node| check(node, content, mistakes));
    }
    if let Some(wrong) = rest.first() {
        mistakes.push(format!("{} does not stand here in {}", wrong.name, node.name));
    }
}

fn check(node: &Node, content: &Content, mistakes: &mut Vec<String>) {
    let text = node.text.as_str();
    let is_right = match content {
        Sequence(rules) => return sequence(node, rules, mistakes),
        Any => true,
        OneOf(words) => words.contains(&text),
        Time => is_time(text),
        Language => {
            let mut parts = text.split('-');
            let first = parts.next().unwrap_or_default();
            (1..=8).contains(&first.len()) && parts.all(|part| (1..=8).contains(&part.len()))
        }
        Identifier => is_identifier(text),
        References => text.split(' ').all(|one| {
            let parts: Vec<&str> = one.split(',').collect();
            parts.len() == 3
                && is_identifier(parts[0])
                && is_identifier(parts[1])
                && is_time(parts[2])
        }),
        Polygon => {
            let pairs: Vec<&str> = text.split(' ').collect();
            pairs.len() >= 4
                && pairs.first() == pairs.last()
                && pairs.iter().all(|pair| is_pair(pair))
        }
        Circle => text.split_once(' ').is_some_and(|(pair, radius)| {
            is_pair(pair) && radius.parse::<f64>().is_ok_and(|radius| radius > 0.0)
        }),
    };
    if !is_right || !node.inside.is_empty() {
        mistakes.push(format!("`{text}` cannot be {}", node.name));
    }
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || matches!(c, ',' | '<' | '&'))
}

fn is_time(text: &str) -> bool {
    const PATTERN: &str = "dddd-dd-ddTdd:dd:dd±dd:dd";
    text.chars().count() == PATTERN.chars().count()
        && text.chars().zip(PATTERN.chars()).all(|(c, wanted)| match wanted {
            'd' => c.is_ascii_digit(),
            '±' => matches!(c, '+' | '-'),
            wanted => c == wanted,
        })
}

fn is_pair(text: &str) -> bool {
    let Some((lat, lon)) = text.split_once(',') else { return false };
    let within = |text: &str, most: f64| text.parse::<f64>().is_ok_and(|value| value.abs() <= most);
    within(lat, 90.0) && within(lon, 180.0)
}

fn issuer() -> Issuer {
    Issuer {
        sender: "sen@ioc.dongthap.example".into(),
        name: Text::new("Trung tâm Điều hành thông minh", "Smart Operations Centre"),
        restriction: None,
    }
}

fn raised() -> AlertRecord {
    let at = |text: &str| text.parse().unwrap();
    let mut record = sample::alert("b5d4045c3f466fa91fe2", 1, Field::Environment);
    record.severity = Severity::CRITICAL;
    record.area = Some(AreaCode::new("28261").unwrap());
    record.started_at = at("2026-11-23T14:02:05.120+07:00");
    record.event_time = record.started_at;
    record.recorded_at = at("2026-11-23T14:02:05.133+07:00");
    record.text = Text::new(
        "Mực nước Mỹ Tho trên báo động III: 1,62 m",
        "Mỹ Tho water level above alarm III: 1.62 m",
    );
    record
}

fn square() -> Vec<Ring> {
    vec![vec![[106.3, 10.3], [106.4, 10.3], [106.4, 10.4], [106.3, 10.4], [106.3, 10.3]]]
}

fn golden(name: &str, document: &str) {
    let path = format!("{}/src/cap/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(document, wanted, "{path}");
}

#[test]
fn a_raise_an_update_and_an_end_are_as_they_were_agreed() {
    let rule = sample::rule("flood");
    let rings = square();
    let first = raised();
    let document_of = |record: &AlertRecord, earlier: &[(u32, Timestamp)]| {
        let around = Around {
            now: record.recorded_at.plus_ms(60_000),
            rule: Some(&rule),
            earlier,
            stage: Some(3),
            device: Some(Text::new("Trạm Mỹ Tho", "Mỹ Tho station")),
            area: Some(Text::new("Phường Mỹ Tho", "Mỹ Tho ward")),
            rings: &rings,
            position: Some((10.35, 106.36)),
        };
        let document = document(&message(record, &around, &issuer())).unwrap();
        assert_eq!(mistakes(&read(&document)), Vec::<String>::new(), "{document}");
        document
    };
    golden("raised.xml", &document_of(&first, &[]));
    let mut taken = first.clone();
    (taken.rev, taken.change, taken.state) = (2, Change::Acknowledged, AlertState::Acknowledged);
    taken.recorded_at = first.recorded_at.plus_ms(60_000);
    let (by, note) = ("Lan".to_owned(), "đã gọi <kíp trực> & đội".to_owned());
    taken.acknowledgement = Some(Acknowledgement { by, at: taken.recorded_at, note });
    golden("acknowledged.xml", &document_of(&taken, &[(1, first.recorded_at)]));
    let mut over = taken.clone();
    (over.rev, over.change, over.state) = (3, Change::Cleared, AlertState::Normal);
    over.recorded_at = first.recorded_at.plus_ms(3_600_000);
    over.drill = true;
    let earlier = [(1, first.recorded_at), (2, taken.recorded_at)];
    golden("cleared.xml", &document_of(&over, &earlier));
    let alerts = [&over, &first];
    let feed = feed(&alerts, &issuer(), first.recorded_at).unwrap();
    golden("feed.xml", &feed);
}

#[test]
fn the_validator_itself_sees_what_is_wrong() {
    let around = Around::default();
    let good = document(&message(&raised(), &around, &issuer())).unwrap();
    assert!(mistakes(&read(&good)).is_empty());
    for (from, to) in [
        ("<status>Actual</status>", "<status>Real</status>"),
        ("<scope>Public</scope>", ""),
        ("<scope>Public</scope>", "<scope>Restricted</scope>"),
        ("<msgType>Alert</msgType>", "<msgType>Update</msgType>"),
        ("<sent>2026-11-23T14:02:05+07:00</sent>", "<sent>2026-11-23T07:02:05Z</sent>"),
        ("<sent>2026-11-23T14:02:05+07:00</sent>", "<sent>2026-11-23T14:02:05.133+07:00</sent>"),
        ("<sender>sen@", "<sender>sen @"),
        ("<language>vi-VN</language>", "<event>x</event>"),
        ("urn:oasis:names:tc:emergency:cap:1.2", "urn:oasis:names:tc:emergency:cap:1.1"),
        ("<valueName>severity</valueName>", ""),
        ("<areaDesc>stn-my-tho</areaDesc>", "<areaDesc>x</areaDesc><polygon>1,1 2,2 1,1</polygon>"),
        (
            "<areaDesc>stn-my-tho</areaDesc>",
            "<areaDesc>x</areaDesc><polygon>1,1 2,2 3,3 4,4</polygon>",
        ),
    ] {
        assert!(good.contains(from), "{from} is not in {good}");
        let bad = good.replace(from, to);
        assert!(!mistakes(&read(&bad)).is_empty(), "{from} → {to}");
    }
}

#[test]
fn a_device_outside_of_any_area_has_a_circle_and_a_restriction_its_scope() {
    let mut record = raised();
    record.area = None;
    let around = Around { position: Some((10.35, 106.36)), ..Around::default() };
    let issuer = Issuer { restriction: Some("Chỉ dùng nội bộ".into()), ..issuer() };
    let root = read(&document(&message(&record, &around, &issuer)).unwrap());
    assert_eq!(mistakes(&root), Vec::<String>::new());
    let area = root.all("info")[0].all("area")[0];
    assert_eq!((area.one("circle"), area.all("geocode").len()), ("10.35,106.36 1", 0));
    assert_eq!((root.one("scope"), root.one("restriction")), ("Restricted", "Chỉ dùng nội bộ"));
}

#[test]
fn what_stands_for_days_has_not_expired_and_what_is_over_soon_has() {
    let record = raised();
    let said = |record: &AlertRecord, now: &str| {
        let around = Around { now: now.parse().unwrap(), ..Around::default() };
        let root = read(&document(&message(record, &around, &issuer())).unwrap());
        assert_eq!(root.one("sent"), "2026-11-23T14:02:05+07:00");
        root.all("info")[0].one("expires").to_owned()
    };
    for (now, wanted) in [
        ("2026-11-23T14:02:06+07:00", "2026-11-24T15:00:00+07:00"),
        // On the third day it holds still, all through the hour with the same document.
        ("2026-11-26T09:00:00.001+07:00", "2026-11-27T10:00:00+07:00"),
        ("2026-11-26T09:59:59+07:00", "2026-11-27T10:00:00+07:00"),
        ("2026-11-26T10:00:00+07:00", "2026-11-27T10:00:00+07:00"),
        // A clock that was set back: never before it was sent.
        ("2026-11-20T00:00:00+07:00", "2026-11-24T15:00:00+07:00"),
    ] {
        assert_eq!(said(&record, now), wanted, "{now}");
    }
    let over = AlertRecord { state: AlertState::Normal, ..record };
    for now in ["2026-11-23T14:02:06+07:00", "2026-11-26T09:00:00+07:00"] {
        assert_eq!(said(&over, now), "2026-11-23T15:02:05+07:00", "{now}");
    }
}

/// Text as nobody would write it by accident.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<String>(),
        1 => Just("]]><script>alert('x')</script>&amp;&#0;\u{0}\u{b}\u{1f}\u{ffff}\u{fffe}".to_owned()),
        1 => Just("</description></info></alert><alert>".to_owned()),
        1 => Just("Mực nước – “cao”, 1,62 m\r\n\t ".to_owned()),
        1 => Just(String::new()),
    ]
}

prop_compose! {
    fn record()(
        (rev, state, severity, field) in (1..5u32, 0..5usize, 1..5u8, 0..5usize),
        (vi, en, id, by) in (hostile(), hostile(), hostile(), hostile()),
        (started, took) in (any::<i64>(), any::<i64>()),
        (value, area, drill) in (proptest::option::of(any::<f64>()), any::<bool>(), any::<bool>()),
    ) -> AlertRecord {
        let states = [AlertState::Unacknowledged, AlertState::Acknowledged, AlertState::ReturnedUnacknowledged, AlertState::Latched, AlertState::Normal];
        let fields = [Field::SocioEconomy, Field::Security, Field::Transport, Field::Environment, Field::PublicServices];
        let mut record = sample::alert(&id, 1, fields[field]);
        (record.rev, record.state) = (rev, states[state]);
        record.severity = Severity::try_from(severity).unwrap();
        record.text = Text::new(vi, en);
        record.rule_version = by;
        record.started_at = Timestamp::from_millis(started);
        record.recorded_at = Timestamp::from_millis(took);
        (record.value, record.drill) = (value, drill);
        record.area = area.then(|| AreaCode::new("28261").unwrap());
        record
    }
}

proptest! {
    #[test]
    fn whatever_stands_in_an_alert_the_document_is_valid_and_says_it(
        record in record(),
        (name, step, restriction) in (hostile(), hostile(), proptest::option::of("[a-z]{1,9}")),
        ring in proptest::collection::vec((-180.0..180.0f64, -90.0..90.0f64), 0..7),
        stage in proptest::option::of(1..6u8),
    ) {
        let mut rule = sample::rule("flood");
        rule.name = Text::new(name.clone(), name);
        rule.response.steps = vec![Text::new(step.clone(), step)];
        let rings = [ring.into_iter().map(|(lon, lat)| [lon, lat]).collect::<Ring>()];
        let earlier: Vec<(u32, Timestamp)> =
            (1..record.rev).map(|rev| (rev, record.recorded_at.plus_ms(-1))).collect();
        let now = record.recorded_at;
        let around = Around { now, rule: Some(&rule), earlier: &earlier, stage, rings: &rings, ..Around::default() };
        let issuer = Issuer { restriction, ..issuer() };
        let document = document(&message(&record, &around, &issuer)).unwrap();
        let root = read(&document);
        prop_assert_eq!(mistakes(&root), Vec::<String>::new(), "{}", document);
        let blocks = root.all("info");
        prop_assert_eq!(blocks.len(), 2);
        prop_assert_eq!(blocks[0].one("language"), "vi-VN");
        prop_assert_eq!(root.one("status"), if record.drill { "Exercise" } else { "Actual" });
        let plain = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == ' ');
        if !record.text.vi.is_empty() && plain(&record.text.vi) {
            prop_assert_eq!(blocks[0].one("headline"), record.text.vi.as_str());
        }
        let feed = feed(&[&record], &issuer, record.recorded_at).unwrap();
        let feed = read(&feed);
        prop_assert_eq!(feed.all("entry").len(), 1);
        for name in ["id", "title", "updated"] {
            feed.one(name);
            feed.all("entry")[0].one(name);
        }
        prop_assert!(is_time(feed.one("updated")));
    }
}

#[test]
fn times_have_an_offset_and_no_fraction_whatever_they_are() {
    let cases = [
        (0, "1970-01-01T07:00:00+07:00"),
        (1_795_417_325_999, "2026-11-23T14:02:05+07:00"),
        (i64::MIN, "1970-01-01T07:00:00+07:00"),
    ];
    for (ms, wanted) in cases {
        assert_eq!(time(Timestamp::from_millis(ms)), wanted);
    }
    assert!(is_time(&time(Timestamp::from_millis(i64::MAX))));
    assert_eq!(identifier("a, b<&", 7), "ab.7");
}
