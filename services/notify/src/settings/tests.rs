//! `oncall.toml` read: all of it, or every mistake.

use sen_model::{OnCallEntry, Severity, Timestamp};

use super::*;
use crate::letter;

/// A plan for tests: two teams, an absence, three policies.
pub(crate) const SAMPLE: &str = r#"
[[webhook]]
name = "sms"
url = "https://sms.example.vn/send"

[push]
contact = "mailto:sen@example.vn"

[email]
relay = "127.0.0.1"
security = "none"
from = "Sen <sen@example.vn>"

[[person]]
id = "an"
name = "Nguyễn Thị An"
email = "an@example.vn"
phone = "+84901234567"
channels = ["app", "push", "email", "sms"]

[[person]]
id = "binh"
name = "Trần Văn Bình"
email = "binh@example.vn"
channels = ["app", "email", "sms"]

[[person]]
id = "chi"
name = "Lê Kim Chi"
language = "en"
channels = ["app", "sms"]

[[team]]
id = "duty"
name = { vi = "Trực ban", en = "Duty" }
[[team.layer]]
members = ["an", "binh", "chi"]
start = "2026-11-02"
hand_over = ["monday 07:30"]

[[team]]
id = "chiefs"
name = { vi = "Lãnh đạo trực", en = "Chiefs" }
[[team.layer]]
members = ["chi"]
start = "2026-11-02"
hand_over = ["07:00"]
hours = "07:00-17:00"
[[team.layer]]
members = ["binh", "chi"]
start = "2026-11-02"
hand_over = ["07:00"]

[[absence]]
person = "an"
from = "2026-11-05T00:00:00+07:00"
until = "2026-11-06T00:00:00+07:00"
reason = "nghỉ phép"

[[policy]]
id = "critical"
severities = [1]
repeat = 1
[[policy.step]]
team = "duty"
channels = ["push", "sms"]
wait = "2m"
[[policy.step]]
person = "chi"
channels = ["sms"]
wait = "5m"

[[policy]]
id = "rest"
delay = "30s"
[[policy.step]]
team = "duty"
channels = ["email"]
wait = "10m"

[[quiet]]
severities = [3, 4]
hours = "22:00-06:00"
"#;

pub(crate) fn no_secrets(_: &Path) -> Result<Secret, String> {
    Err("no such file".to_owned())
}

pub(crate) fn parse(text: &str) -> Result<OnCall, Vec<Problem>> {
    let secret = |path: &Path| match path.to_str() {
        Some("password") => Ok(Secret::new("geheim")),
        Some("token-url") => Ok(Secret::new("https://api.example.vn/bot123/send")),
        _ => no_secrets(path),
    };
    OnCall::parse(text, Some(&[]), Some(&Registry::new(Vec::new(), Vec::new())), &secret)
}

pub(crate) fn sample() -> OnCall {
    parse(SAMPLE).unwrap()
}

#[test]
fn a_whole_plan_is_read() {
    let on = sample();
    assert_eq!(on.counts(), (3, 2));
    assert_eq!(on.people["chi"].language, Language::English);
    assert_eq!(on.teams[1].layers.len(), 2);
    let OnCallEntry::Absence { person, until, .. } = &on.entries[0].entry else { panic!() };
    let midnight: Timestamp = "2026-11-06T00:00:00+07:00".parse().unwrap();
    assert_eq!((person.as_str(), *until), ("an", midnight));
    assert_eq!(on.policies[0].severities, [Severity::CRITICAL]);
    assert_eq!((on.policies[0].repeat, on.policies[1].delay_ms), (1, 30_000));
    assert_eq!(on.policies[0].steps[0].wait_ms, 120_000);
    assert_eq!(on.email.unwrap().port, 25);
    assert_eq!(on.push.unwrap().ttl_s, 3_600);
}

#[test]
fn an_empty_file_calls_nobody() {
    let on = parse("").unwrap();
    assert!(on.policies.is_empty() && on.people.is_empty());
}

#[test]
fn the_shipped_file_is_right() {
    let shipped = include_str!("../../../../config/oncall.toml");
    parse(shipped).unwrap();
    // So is what it shows in its comments.
    let shown: String = shipped
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let secret = |_: &Path| Ok(Secret::new("https://api.example.vn/secret"));
    let on = OnCall::parse(&shown, None, None, &secret).unwrap();
    assert!(on.people.len() >= 3 && on.policies.len() >= 2 && on.dead_man.is_some());
}

/// A file in which nearly everything is wrong.
const MISTAKES: &str = r#"
[egress]
allow = ["everything"]
[email]
relay = "mail:99999"
security = "maybe"
from = "nobody"
user = "sen"
[push]
contact = "me"
[[webhook]]
name = "email"
url = "http://169.254.169.254/latest"
[[webhook]]
name = "sms"
url = "https://sms.example.vn/"
body = "{{ persn.name }}"
headers = { "X Y" = "1" }
method = "DELETE"
[webhook.answer]
pointer = "error"
equals = 0
[[person]]
id = "An"
name = ""
[[person]]
id = "binh"
name = "Bình"
phone = "call me"
email = "no address"
chanels = ["sms"]
channels = ["fax", "email"]
[[team]]
id = "duty"
name = { vi = "Trực ban", en = "" }
[[team.layer]]
members = ["nobody"]
start = "today"
hand_over = ["noon"]
[[override]]
team = "day"
person = "binh"
from = "2026-11-05T00:00:00+07:00"
until = "2026-11-04T00:00:00+07:00"
[[policy]]
id = "p"
severities = [5]
fields = ["weather"]
areas = ["99999"]
rules = ["no-such-rule"]
delay = "soon"
repeat = 99
[[policy.step]]
channels = []
[[quiet]]
severities = [1]
hours = "at night"
[dead_man]
channels = ["app"]
[dead_man.heartbeat]
url = "ftp://x"
"#;

#[test]
fn every_mistake_is_told_with_line_and_key() {
    let problems = parse(MISTAKES).unwrap_err();
    let told: Vec<String> = problems.iter().map(|problem| problem.key.clone()).collect();
    let expected = [
        "3 egress.allow",
        "5 email.relay",
        "6 email.security",
        "7 email.from",
        "4 email.user",
        "10 push.contact",
        "12 webhook[0].name",
        "13 webhook[0].url",
        "19 webhook.sms.method",
        "18 webhook.sms.headers",
        "17 webhook.sms.body",
        "21 webhook.sms.answer.pointer",
        "24 person[0].id",
        "25 person[0].name",
        "29 person.binh.phone",
        "30 person.binh.email",
        "32 person.binh.channels",
        "31 person.binh.chanels",
        "35 team.duty.name",
        "37 team.duty.layer[0].members",
        "38 team.duty.layer[0].start",
        "39 team.duty.layer[0].hand_over",
        "44 override[0].until",
        "41 override[0].team",
        "47 policy.p.severities",
        "48 policy.p.fields",
        "49 policy.p.areas",
        "50 policy.p.rules",
        "51 policy.p.delay",
        "52 policy.p.repeat",
        "54 policy.p.step[0].channels",
        "53 policy.p.step[0].wait",
        "56 quiet[0].severities",
        "57 quiet[0].hours",
        "59 dead_man.channels",
        "61 dead_man.heartbeat.url",
    ];
    for expected in expected {
        let key = format!("oncall.toml:{expected}");
        assert!(told.contains(&key), "not told: {key}\n{}", told.join("\n"));
    }
    let shown = format!("{problems:?}");
    assert!(!shown.contains("no address\""), "contact details stand in a problem: {shown}");
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let problems = parse("[[person]]\nid = \n").unwrap_err();
    assert_eq!(problems[0].key, "oncall.toml:2");
}

#[test]
fn secrets_stand_in_files_and_are_printed_nowhere() {
    let text = r#"
[email]
relay = "mail.example.vn:587"
security = "starttls"
from = "sen@example.vn"
user = "sen"
password_file = "password"
[[webhook]]
name = "bot"
url_file = "token-url"
header_files = { Authorization = "password" }
secret_file = "password"
value_files = { key = "password" }
body = '{"key": {{ secret.key | tojson }}, "to": {{ person.address | tojson }}}'
[[person]]
id = "an"
name = "An"
phone = "0901234567"
email = "an@example.vn"
addresses = { bot = "12345" }
channels = ["bot"]
"#;
    let on = parse(text).unwrap();
    let printed = format!("{on:?}");
    for secret in ["geheim", "bot123", "0901234567", "an@example.vn", "12345"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
    assert_eq!(on.webhooks[0].url.reveal(), "https://api.example.vn/bot123/send");
    let missing = text.replace("\"token-url\"", "\"gone\"");
    assert!(parse(&missing).unwrap_err()[0].key.contains("10 webhook"), "which file is missing");
    let open = text.replace("starttls", "none");
    assert!(parse(&open).unwrap_err()[0].key.contains("email.security"));
}

#[test]
fn every_recipe_of_the_guide_is_right() {
    let guide = include_str!("../../../../docs/on-call.md");
    let recipes: Vec<&str> = guide.split("```toml\n").skip(1).collect();
    assert!(recipes.len() >= 8, "only {} recipes", recipes.len());
    let secret = |path: &Path| match path.to_str() {
        Some(path) if path.ends_with("-url") => Ok(Secret::new("https://example.vn/secret")),
        _ => Ok(Secret::new("geheim")),
    };
    for recipe in recipes {
        let recipe = recipe.split("```").next().unwrap();
        // What a recipe takes for granted.
        let mut text = recipe.to_owned();
        if recipe.contains("noi-bo.vn:8080/") {
            text = format!("[egress]\nallow = [\"sms.noi-bo.vn:8080\"]\n{text}");
        }
        if recipe.contains("[dead_man]") {
            text = format!("{SAMPLE}{text}");
        }
        let read = OnCall::parse(&text, None, None, &secret);
        assert!(read.is_ok(), "{:?}\n{recipe}", read.unwrap_err());
        for webhook in read.unwrap().webhooks {
            let is_form = webhook.headers.iter().any(|(_, v)| v.reveal().contains("urlencoded"));
            let (letter, body) = (letter::sample().unwrap(), webhook.body.as_deref());
            let sent = letter.render(body, &webhook.values).unwrap();
            let is_json = serde_json::from_str::<serde_json::Value>(&sent).is_ok();
            assert!(is_json || is_form, "{sent}");
        }
    }
}
