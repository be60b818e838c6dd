//! What is said to people. Pure: alerts in, words in both languages out.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::{Environment, UndefinedBehavior, context};
use sen_model::{AlertId, AlertRecord, Field, Rule, RuleId, Severity, Text, Timestamp};
use serde::Serialize;

use crate::secret::Secret;
use crate::settings::{Contact, Language};

/// Alerts of a message that are told one by one; of the others only how many they are.
pub(crate) const TOLD: usize = 20;
/// Longest line of a message, in characters: texts of alerts may come from outside.
const LINE_CHARS: usize = 400;
/// What marks a message about a drill.
const DRILL: Both = ("[DIỄN TẬP] ", "[EXERCISE] ");

type Both = (&'static str, &'static str);

/// A browser that takes push messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// The entry of the on-call log.
    pub(crate) entry: String,
    pub(crate) endpoint: String,
    pub(crate) p256dh: String,
    pub(crate) auth: String,
}

/// A message to one person over one channel.
#[derive(Clone, Debug)]
pub(crate) struct Letter {
    /// The idempotency key: the same at every try.
    pub(crate) key: String,
    pub(crate) channel: String,
    pub(crate) to: Arc<Contact>,
    /// Their browsers, if the channel is push.
    pub(crate) browsers: Vec<Subscription>,
    pub(crate) severity: Severity,
    /// When this try is made.
    pub(crate) at: Timestamp,
    pub(crate) words: Words,
}

/// What a letter says.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Words {
    /// One line.
    pub(crate) subject: Text,
    /// For a phone: the subject, how many more, and the link.
    pub(crate) short: Text,
    /// All of it.
    pub(crate) body: Text,
    /// Where the worst alert is acknowledged; empty without `notify.public_url`.
    pub(crate) link: String,
    /// How many alerts it is about.
    pub(crate) count: usize,
    /// The first of them, worst first.
    pub(crate) alerts: Vec<Told>,
    /// Whether the worst alert belongs to a drill.
    pub(crate) drill: bool,
}

/// One alert of a letter.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Told {
    pub(crate) alert: Arc<AlertRecord>,
    /// Which step of the escalation this is.
    pub(crate) step: u32,
    /// Where it is acknowledged.
    pub(crate) link: String,
    /// What is to be done about it.
    pub(crate) steps: Vec<Text>,
    /// What happens if nobody acts.
    pub(crate) consequence: Text,
}

impl Told {
    /// An alert with what its rule asks for.
    pub(crate) fn new(alert: Arc<AlertRecord>, step: u32, link: String, rules: &[Rule]) -> Self {
        let response = rules.iter().find(|rule| rule.id == alert.rule).map(|rule| &rule.response);
        let steps = response.map_or_else(Vec::new, |response| response.steps.clone());
        let consequence = response.map_or_else(Text::default, |r| r.consequence.clone());
        Self { alert, step, link, steps, consequence }
    }
}

/// How bad it is, in words.
fn severity(of: Severity) -> Both {
    match of.level() {
        1 => ("KHẨN CẤP", "CRITICAL"),
        2 => ("Nghiêm trọng", "High"),
        3 => ("Trung bình", "Medium"),
        _ => ("Thấp", "Low"),
    }
}

/// One line of bounded length, with nothing in it that is not to be seen.
fn line(text: &str) -> String {
    let seen = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut line: String = seen.take(LINE_CHARS).collect();
    if text.chars().count() > LINE_CHARS {
        line.push('…');
    }
    line.trim().to_owned()
}

/// `14:02 23/11/2026`, in Vietnam.
fn clock(at: Timestamp) -> String {
    let text = at.to_string();
    let part = |range| text.get(range).unwrap_or_default();
    format!("{} {}/{}/{}", part(11..16), part(8..10), part(5..7), part(0..4))
}

impl Words {
    /// What is said about alerts, of which there are `count`; the worst come first. `told` holds at
    /// least one, or there is nothing to say.
    pub(crate) fn about(mut told: Vec<Told>, count: usize) -> Option<Self> {
        told.truncate(TOLD);
        let worst = told.first()?;
        let drill = worst.alert.drill;
        let subject = subject(&worst.alert, count);
        let link = worst.link.clone();
        let short = Text {
            vi: with_link(&subject.vi, "Xác nhận", &link),
            en: with_link(&subject.en, "Acknowledge", &link),
        };
        let body = body(&told, count, &subject);
        Some(Self { subject, short, body, link, count, alerts: told, drill })
    }

    /// What is said when alerting has stopped, or is well again.
    pub(crate) fn about_alerting(is_well: bool, at: Timestamp) -> Self {
        let at = clock(at);
        let (subject, body) = if is_well {
            (
                Text::new("Hệ thống cảnh báo hoạt động trở lại", "Alerting works again"),
                Text {
                    vi: format!("Lúc {at}, hệ thống cảnh báo đã hoạt động trở lại."),
                    en: format!("Alerting works again as of {at}."),
                },
            )
        } else {
            (
                Text::new("CẢNH BÁO NGỪNG HOẠT ĐỘNG", "ALERTING HAS STOPPED"),
                Text {
                    vi: format!(
                        "CẢNH BÁO NGỪNG HOẠT ĐỘNG từ {at}: thiết bị thử không còn đi qua được hệ \
                         thống, nên cảnh báo thật cũng có thể không đến. Hãy theo dõi trực tiếp \
                         các trạm và báo ngay cho bộ phận kỹ thuật."
                    ),
                    en: format!(
                        "ALERTING HAS STOPPED since {at}: the probe no longer comes through, so \
                         real alerts may not either. Watch the stations directly and call the \
                         engineers at once."
                    ),
                },
            )
        };
        let (short, link) = (body.clone(), String::new());
        Self { subject, short, body, link, count: 0, alerts: Vec::new(), drill: false }
    }
}

fn subject(worst: &AlertRecord, count: usize) -> Text {
    let (vi, en) = severity(worst.severity);
    let drill = if worst.drill { DRILL } else { ("", "") };
    let (text_vi, text_en) = (line(&worst.text.vi), line(&worst.text.en));
    if count == 1 {
        return Text {
            vi: format!("{}{vi}: {text_vi}", drill.0),
            en: format!("{}{en}: {text_en}", drill.1),
        };
    }
    Text {
        vi: format!("{}{count} cảnh báo chờ xử lý, nặng nhất – {vi}: {text_vi}", drill.0),
        en: format!("{}{count} alerts are waiting, the worst – {en}: {text_en}", drill.1),
    }
}

fn with_link(subject: &str, verb: &str, link: &str) -> String {
    if link.is_empty() { subject.to_owned() } else { format!("{subject}. {verb}: {link}") }
}

fn body(told: &[Told], count: usize, subject: &Text) -> Text {
    let mut body = Text::new(format!("{}\n", subject.vi), format!("{}\n", subject.en));
    for told in told {
        let alert = &told.alert;
        let drill = if alert.drill { DRILL } else { ("", "") };
        let (vi, en) = severity(alert.severity);
        let at = clock(alert.started_at);
        let area = alert.area.as_ref().map_or_else(String::new, |area| format!(" · {area}"));
        let device = &alert.device;
        let (text_vi, text_en) = (line(&alert.text.vi), line(&alert.text.en));
        body.vi += &format!("\n{}{vi}: {text_vi}\nBắt đầu {at} · {device}{area}\n", drill.0);
        body.en += &format!("\n{}{en}: {text_en}\nSince {at} · {device}{area}\n", drill.1);
        if !told.steps.is_empty() {
            body.vi += "Việc cần làm:\n";
            body.en += "What to do:\n";
        }
        for (number, step) in (1..).zip(&told.steps) {
            body.vi += &format!("  {number}. {}\n", line(&step.vi));
            body.en += &format!("  {number}. {}\n", line(&step.en));
        }
        if !told.consequence.vi.is_empty() {
            body.vi += &format!("Nếu không xử lý: {}\n", line(&told.consequence.vi));
            body.en += &format!("If nobody acts: {}\n", line(&told.consequence.en));
        }
        if !told.link.is_empty() {
            body.vi += &format!("Xác nhận đã nhận: {}\n", told.link);
            body.en += &format!("Acknowledge: {}\n", told.link);
        }
    }
    let more = count - told.len().min(count);
    if more > 0 {
        body.vi += &format!("\n… và {more} cảnh báo khác.\n");
        body.en += &format!("\n… and {more} more alerts.\n");
    }
    body
}

impl Letter {
    /// A text in the language of its reader.
    pub(crate) fn own<'a>(&self, text: &'a Text) -> &'a str {
        match self.to.language {
            Language::Vietnamese => &text.vi,
            Language::English => &text.en,
        }
    }

    /// The letter through a template; without one, as JSON. Errors name the line of the template.
    /// Only a template sees the secrets.
    pub(crate) fn render(
        &self,
        template: Option<&str>,
        secrets: &BTreeMap<String, Secret>,
    ) -> Result<String, String> {
        let worst = self.words.alerts.first();
        let address = self.to.addresses.get(&self.channel);
        let values = context! {
            key => self.key,
            channel => self.channel,
            severity => self.severity.level(),
            drill => self.words.drill,
            count => self.words.count,
            subject => self.own(&self.words.subject),
            short => self.own(&self.words.short),
            text => self.own(&self.words.body),
            both => self.words.body,
            link => self.words.link,
            at => self.at.to_string(),
            alert => worst.map(|told| &told.alert),
            steps => worst.map(|told| &told.steps),
            alerts => self.words.alerts,
            person => context! {
                id => self.to.id,
                name => self.to.name,
                phone => self.to.phone.as_deref().unwrap_or_default(),
                email => self.to.email.as_deref().unwrap_or_default(),
                address => address.map(String::as_str).unwrap_or_default(),
            },
        };
        let secret = || secrets.iter().map(|(name, secret)| (name.as_str(), secret.now()));
        match template {
            Some(template) => {
                let secret = minijinja::Value::from_iter(secret());
                through(template, context! { secret, ..values })
            }
            None => serde_json::to_string(&values).map_err(|error| error.to_string()),
        }
    }
}

fn through(template: &str, values: minijinja::Value) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("urlencode", urlencode);
    environment.add_filter("plain", |text: String| plain(&text));
    let rendered = environment.render_str(template, values);
    rendered.map_err(|error| {
        let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        format!("line {}: {detail}", error.line().unwrap_or(1))
    })
}

/// As in a URL or a form: everything but letters, digits and `-._~` becomes `%XX`.
fn urlencode(text: String) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

/// Vietnamese without its marks: an SMS of plain letters holds 160 of them, one with marks only 70.
fn plain(text: &str) -> String {
    const BASES: [(&str, char); 14] = [
        ("àáảãạăằắẳẵặâầấẩẫậ", 'a'),
        ("èéẻẽẹêềếểễệ", 'e'),
        ("ìíỉĩị", 'i'),
        ("òóỏõọôồốổỗộơờớởỡợ", 'o'),
        ("ùúủũụưừứửữự", 'u'),
        ("ỳýỷỹỵ", 'y'),
        ("đ", 'd'),
        ("ÀÁẢÃẠĂẰẮẲẴẶÂẦẤẨẪẬ", 'A'),
        ("ÈÉẺẼẸÊỀẾỂỄỆ", 'E'),
        ("ÌÍỈĨỊ", 'I'),
        ("ÒÓỎÕỌÔỒỐỔỖỘƠỜỚỞỠỢ", 'O'),
        ("ÙÚỦŨỤƯỪỨỬỮỰ", 'U'),
        ("ỲÝỶỸỴ", 'Y'),
        ("Đ", 'D'),
    ];
    let base = |c: char| match c {
        '–' | '—' => '-',
        '…' => '.',
        '·' => ',',
        _ => BASES.iter().find(|(marked, _)| marked.contains(c)).map_or(c, |(_, base)| *base),
    };
    // Marks that stand by themselves (decomposed text) fall away.
    text.chars().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).map(base).collect()
}

/// A template as it would be used; tells what is wrong with it.
pub(crate) fn check_template(
    template: &str,
    secrets: &BTreeMap<String, Secret>,
) -> Result<(), String> {
    sample()?.render(Some(template), secrets).map(drop)
}

/// A letter to try templates with.
pub(crate) fn sample() -> Result<Letter, String> {
    let name = |error: sen_model::InvalidName| error.to_string();
    let alert = AlertRecord {
        text: Text::new("Mực nước vượt báo động III", "Water above alarm level III"),
        ..AlertRecord::raised(
            AlertId::from_text("0000"),
            RuleId::new("sample").map_err(name)?,
            String::new(),
            Severity::CRITICAL,
            Field::Environment,
            sen_model::DeviceId::new("sample").map_err(name)?,
            Timestamp::default(),
        )
    };
    let told = Told::new(Arc::new(alert), 1, "https://sen.example/a/x".to_owned(), &[]);
    let words = Words::about(vec![told], 1).ok_or("nothing to say")?;
    let to = Contact {
        id: "an".to_owned(),
        name: "Nguyễn Thị An".to_owned(),
        language: Language::Vietnamese,
        email: None,
        phone: None,
        addresses: BTreeMap::new(),
        channels: Vec::new(),
    };
    Ok(Letter {
        key: "0000".to_owned(),
        channel: "sample".to_owned(),
        to: Arc::new(to),
        browsers: Vec::new(),
        severity: Severity::CRITICAL,
        at: Timestamp::default(),
        words,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, drill: bool) -> Told {
        let mut letter = sample().unwrap();
        let mut told = letter.words.alerts.remove(0);
        let alert = Arc::make_mut(&mut told.alert);
        alert.text.vi = text.to_owned();
        alert.drill = drill;
        told
    }

    #[test]
    fn one_alert_and_many_in_both_languages() {
        let words = Words::about(vec![told("Mực nước 1,62 m", false)], 1).unwrap();
        assert_eq!(words.subject.vi, "KHẨN CẤP: Mực nước 1,62 m");
        assert_eq!(words.short.vi, "KHẨN CẤP: Mực nước 1,62 m. Xác nhận: https://sen.example/a/x");
        assert!(words.body.en.contains("Since 07:00 01/01/1970 · sample"), "{}", words.body.en);
        let many = (0..30).map(|n| told(&format!("số {n}"), n == 0)).collect();
        let words = Words::about(many, 500).unwrap();
        assert_eq!(
            words.subject.vi,
            "[DIỄN TẬP] 500 cảnh báo chờ xử lý, nặng nhất – KHẨN CẤP: số 0"
        );
        assert!(words.body.vi.ends_with("… và 480 cảnh báo khác.\n"), "{}", words.body.vi);
        assert_eq!(words.body.vi.matches("[DIỄN TẬP]").count(), 2, "headline and its alert");
    }

    #[test]
    fn what_comes_from_outside_stays_on_its_line() {
        let words = Words::about(vec![told("a\r\nBcc: x@y\u{0}", false)], 1).unwrap();
        assert!(!words.subject.vi.contains(char::is_control), "{:?}", words.subject.vi);
        let words = Words::about(vec![told(&"x".repeat(9_999), false)], 1).unwrap();
        assert!(words.subject.vi.chars().count() < 500);
    }

    #[test]
    fn templates_see_the_letter_and_mistakes_are_told_with_their_line() {
        let (letter, none) = (sample().unwrap(), BTreeMap::new());
        let template = "{\"to\": {{ person.name | tojson }}, \"n\": {{ count }}}";
        assert_eq!(
            letter.render(Some(template), &none).unwrap(),
            "{\"to\": \"Nguyễn Thị An\", \"n\": 1}"
        );
        let plain = letter.render(Some("{{ short | plain | urlencode }}"), &none).unwrap();
        assert!(plain.starts_with("KHAN%20CAP%3A%20Muc%20nuoc%20vuot%20bao%20dong"), "{plain}");
        let whole: serde_json::Value =
            serde_json::from_str(&letter.render(None, &none).unwrap()).unwrap();
        let secrets = BTreeMap::from([("key".to_owned(), Secret::new("geheim"))]);
        assert_eq!(letter.render(Some("{{ secret.key }}"), &secrets).unwrap(), "geheim");
        assert!(!letter.render(None, &secrets).unwrap().contains("geheim"));
        assert_eq!(whole["alert"]["severity"], 1);
        assert_eq!(whole["person"]["name"], "Nguyễn Thị An");
        for (wrong, line) in [("\n{{ persn.name }}", 2), ("{{ count", 1), ("{% for %}", 1)] {
            let error = check_template(wrong, &none).unwrap_err();
            assert!(error.starts_with(&format!("line {line}:")), "{wrong}: {error}");
        }
    }
}
