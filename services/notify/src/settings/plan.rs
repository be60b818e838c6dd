//! The people, teams and policies of `oncall.toml`. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use sen_model::{
    AreaCode, Field, OnCallEntry, OnCallRecord, Registry, Rule, RuleId, Severity, Text, Timestamp,
};
use serde::de::DeserializeOwned;

use super::channels::{id, mailbox, url};
use super::table::Table;
use super::{
    APP, Contact, DeadMan, EMAIL, Heartbeat, Language, OnCall, PUSH, ReadSecret, duration_within,
};
use crate::policy::{Policy, Quiet, Step, Who};
use crate::roster::Team;
use crate::rotation::{HandOvers, Layer, hours};

/// Most of each: a file that is larger is a mistake.
const MOST_PEOPLE: usize = 2_000;
const MOST_TEAMS: usize = 200;
const MOST_LAYERS: usize = 10;
const MOST_ENTRIES: usize = 2_000;
const MOST_POLICIES: usize = 200;
const MOST_STEPS: usize = 20;
const MOST_REPEATS: u32 = 20;
const MOST_QUIET: usize = 20;
/// The probe beats each 10 s; three in a row are not missed by chance.
const SILENCE_MS: i64 = 30_000;
const HEARTBEAT_MS: i64 = 60_000;

/// Takes the sections of the plan, after those of the channels.
pub(super) fn read(
    file: &mut Table<'_>,
    on: &mut OnCall,
    rules: Option<&[Rule]>,
    registry: Option<&Registry>,
    secret: ReadSecret<'_>,
) {
    for mut table in file.each("person", MOST_PEOPLE) {
        if let Some(person) = person(&mut table, on) {
            if on.people.contains_key(&person.id) {
                table.problem("id", format!("there is another person `{}`", person.id));
            }
            on.people.insert(person.id.clone(), Arc::new(person));
        }
        table.nothing_left();
    }
    for mut table in file.each("team", MOST_TEAMS) {
        let team = team(&mut table, on);
        on.teams.extend(team);
        table.nothing_left();
    }
    for (kind, index, mut table) in entries(file) {
        let entry = entry(kind, &mut table, on);
        table.nothing_left();
        on.entries.extend(entry.map(|entry| OnCallRecord {
            id: format!("file-{kind}-{index}"),
            rev: 1,
            open: true,
            by: "oncall.toml".to_owned(),
            at: Timestamp::default(),
            entry,
        }));
    }
    for mut table in file.each("policy", MOST_POLICIES) {
        let policy = policy(&mut table, on, rules, registry);
        on.policies.extend(policy);
        table.nothing_left();
    }
    for mut table in file.each("quiet", MOST_QUIET) {
        let span = table.span_of("severities");
        let severities = of_severities(&mut table);
        if severities.is_empty() || severities.contains(&Severity::CRITICAL) {
            let advice = "name some of 2, 3 and 4: critical alerts never wait";
            table.problem_at(span, "severities", advice);
        }
        let hours = table.need("hours", |text: String| part_of_day(&text));
        on.quiet.extend(hours.map(|hours| Quiet { severities, hours }));
        table.nothing_left();
    }
    if let Some(mut table) = file.inner("dead_man") {
        on.dead_man = dead_man(&mut table, on, secret);
        table.nothing_left();
    }
}

fn person(table: &mut Table<'_>, on: &OnCall) -> Option<Contact> {
    let id = own_id(table, "person");
    let name = table.need("name", not_empty);
    let language = table.take("language", |text: String| match text.as_str() {
        "vi" => Ok(Language::Vietnamese),
        "en" => Ok(Language::English),
        _ => Err("write \"vi\" or \"en\"".to_owned()),
    });
    let email = table.take("email", |text: String| mailbox(&text).map(|()| text));
    let phone = table.take("phone", |text: String| {
        let digits = text.strip_prefix('+').unwrap_or(&text);
        let right = (3..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if right { Ok(text) } else { Err("write digits only: +84901234567".to_owned()) }
    });
    let known = |addresses: BTreeMap<String, String>| {
        let unknown = addresses.keys().find(|name| !on.has_channel(name));
        unknown.map_or(Ok(()), |name| Err(format!("there is no webhook `{name}`")))?;
        Ok(addresses)
    };
    let addresses = table.take("addresses", known).unwrap_or_default();
    let span = table.span_of("channels");
    let channels = table.list("channels", |name| channel(on, name));
    if channels.iter().any(|name| name == EMAIL) && email.is_none() {
        table.problem_at(span, "channels", "email is named, but no `email` is given");
    }
    let language = language.unwrap_or_default();
    Some(Contact { id: id?, name: name?, language, email, phone, addresses, channels })
}

fn team(table: &mut Table<'_>, on: &OnCall) -> Option<Team> {
    let span = table.span_of("id");
    let id = own_id(table, "team");
    let name = table.need("name", |name: Text| {
        let empty = name.vi.trim().is_empty() || name.en.trim().is_empty();
        if empty {
            Err("give it in both languages: { vi = \"…\", en = \"…\" }".into())
        } else {
            Ok(name)
        }
    });
    let mut layers = Vec::new();
    let tables = table.each("layer", MOST_LAYERS);
    if tables.is_empty() {
        table.problem_at(span.clone(), "layer", "a team needs a [[team.layer]] with members");
    }
    for mut table in tables {
        let layer = layer(&mut table, on);
        layers.extend(layer);
        table.nothing_left();
    }
    let id = id?;
    if on.teams.iter().any(|known| known.id == id) {
        table.problem_at(span, "id", format!("there is another team `{id}`"));
    }
    Some(Team { id, name: name?, layers })
}

fn layer(table: &mut Table<'_>, on: &OnCall) -> Option<Layer> {
    let members = table.need("members", |names: Vec<String>| {
        names.iter().try_for_each(|name| known_person(on, name))?;
        if names.is_empty() { Err("name at least one person".to_owned()) } else { Ok(names) }
    });
    let start = table.need("start", |day: String| {
        let midnight = format!("{day}T00:00:00+07:00").parse::<Timestamp>();
        midnight.map_err(|_| format!("`{day}` is no day: write 2026-11-02"))
    });
    let hand_overs = table.need("hand_over", |texts: Vec<String>| HandOvers::parse(&texts));
    let hours = table.take("hours", |text: String| part_of_day(&text));
    Some(Layer { members: members?, start: start?, hand_overs: hand_overs?, hours })
}

/// Overrides and absences, each with its place in the file.
fn entries<'t>(file: &mut Table<'t>) -> Vec<(&'static str, usize, Table<'t>)> {
    let mut all = Vec::new();
    for kind in ["override", "absence"] {
        let tables = file.each(kind, MOST_ENTRIES).into_iter().enumerate();
        all.extend(tables.map(|(index, table)| (kind, index + 1, table)));
    }
    all
}

fn entry(kind: &str, table: &mut Table<'_>, on: &OnCall) -> Option<OnCallEntry> {
    let person = table.need("person", |name: String| known_person(on, &name).map(|()| name));
    let time = |text: String| text.parse::<Timestamp>().map_err(|error| error.to_string());
    let from = table.need("from", time);
    let span = table.span_of("until");
    let until = table.need("until", time);
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        table.problem_at(span, "until", "it is not after `from`");
    }
    if kind == "absence" {
        let reason = table.take("reason", Ok::<String, String>).unwrap_or_default();
        return Some(OnCallEntry::Absence { person: person?, from: from?, until: until?, reason });
    }
    let team = table.need("team", |name: String| known_team(on, &name).map(|()| name));
    Some(OnCallEntry::Override { team: team?, person: person?, from: from?, until: until? })
}

fn policy(
    table: &mut Table<'_>,
    on: &OnCall,
    rules: Option<&[Rule]>,
    registry: Option<&Registry>,
) -> Option<Policy> {
    let id = own_id(table, "policy");
    let severities = of_severities(table);
    let fields = named::<Field>(table, "fields", "field", |_| true);
    let areas = named(table, "areas", "area", |code: &AreaCode| {
        registry.is_none_or(|registry| registry.area(code).is_some())
    });
    let ours = |id: &RuleId| rules.is_none_or(|rules| rules.iter().any(|rule| rule.id == *id));
    let rules = named(table, "rules", "rule", ours);
    let delay = table.take("delay", |text: String| duration_within(&text, 0, "1d"));
    let repeat = table.take("repeat", |times: u32| {
        if times <= MOST_REPEATS { Ok(times) } else { Err(format!("at most {MOST_REPEATS}")) }
    });
    let mut steps = Vec::new();
    let tables = table.each("step", MOST_STEPS);
    if tables.is_empty() {
        table.problem("step", "a policy needs a [[policy.step]]");
    }
    for mut table in tables {
        let step = step(&mut table, on);
        steps.extend(step);
        table.nothing_left();
    }
    let (delay_ms, repeat) = (delay.unwrap_or(0), repeat.unwrap_or(0));
    Some(Policy { id: id?, severities, fields, areas, rules, delay_ms, repeat, steps })
}

fn step(table: &mut Table<'_>, on: &OnCall) -> Option<Step> {
    let person = table.take("person", |name: String| known_person(on, &name).map(|()| name));
    let team = table.take("team", |name: String| known_team(on, &name).map(|()| name));
    let who = match (person, team) {
        (Some(person), None) => Some(Who::Person(person)),
        (None, Some(team)) => Some(Who::Team(team)),
        _ => {
            table.problem("team", "name one, a team or a person");
            None
        }
    };
    let channels = table.need("channels", |names: Vec<String>| {
        names.iter().try_for_each(|name| channel(on, name))?;
        if names.is_empty() { Err("name at least one channel".to_owned()) } else { Ok(names) }
    });
    let wait = table.need("wait", |text: String| duration_within(&text, 0, "1d"));
    Some(Step { who: who?, channels: channels?, wait_ms: wait? })
}

fn dead_man(table: &mut Table<'_>, on: &OnCall, secret: ReadSecret<'_>) -> Option<DeadMan> {
    let silence = table.take("silence", |text: String| duration_within(&text, 100, "1h"));
    let people = table.list("people", |name| known_person(on, name));
    let teams = table.list("teams", |name| known_team(on, name));
    let span = table.span_of("channels");
    let channels = table.list("channels", |name| match name {
        APP => Err("`app` is what has stopped: name other channels".to_owned()),
        PUSH => Err("push subscriptions stand in the log: name email or a webhook".to_owned()),
        name => channel(on, name),
    });
    if channels.is_empty() != (people.is_empty() && teams.is_empty()) {
        table.problem_at(span, "channels", "name people or teams, and the channels to them");
    }
    let heartbeat = table.inner("heartbeat").and_then(|mut table| {
        let url = url(&mut table, on, secret);
        let method = table.take("method", |text: String| match text.as_str() {
            "GET" | "POST" => Ok(text),
            _ => Err("write GET or POST".to_owned()),
        });
        let every = table.take("every", |text: String| duration_within(&text, 100, "1h"));
        table.nothing_left();
        let method = method.unwrap_or_else(|| "GET".to_owned());
        let every_ms = every.unwrap_or(HEARTBEAT_MS).unsigned_abs();
        Some(Heartbeat { url: url?, method, every_ms })
    });
    let silence_ms = silence.unwrap_or(SILENCE_MS).unsigned_abs();
    Some(DeadMan { silence_ms, people, teams, channels, heartbeat })
}

/// The id of a table, by which it is called from then on.
fn own_id(table: &mut Table<'_>, kind: &str) -> Option<String> {
    let taken = table.need("id", |text: String| id(&text).map(|()| text));
    if let Some(id) = &taken {
        table.call(format!("{kind}.{id}"));
    }
    taken
}

fn of_severities(table: &mut Table<'_>) -> Vec<Severity> {
    table.take("severities", Ok::<Vec<Severity>, String>).unwrap_or_default()
}

/// A list of names of one type, each of which must be known.
fn named<T: DeserializeOwned>(
    table: &mut Table<'_>,
    key: &str,
    what: &str,
    is_known: impl Fn(&T) -> bool,
) -> Vec<T> {
    let read = |texts: Vec<String>| {
        let each = |text: String| {
            let value = serde_json::Value::String(text.clone());
            let name = serde_json::from_value::<T>(value).ok().filter(|name| is_known(name));
            name.ok_or_else(|| format!("there is no {what} `{text}`"))
        };
        texts.into_iter().map(each).collect::<Result<Vec<_>, _>>()
    };
    table.take(key, read).unwrap_or_default()
}

fn channel(on: &OnCall, name: &str) -> Result<(), String> {
    let advice = || format!("there is no channel `{name}`: set up [{name}] or a [[webhook]]");
    if on.has_channel(name) { Ok(()) } else { Err(advice()) }
}

fn known_person(on: &OnCall, name: &str) -> Result<(), String> {
    let known = on.people.contains_key(name);
    if known { Ok(()) } else { Err(format!("there is no person `{name}`")) }
}

fn known_team(on: &OnCall, name: &str) -> Result<(), String> {
    let known = on.teams.iter().any(|team| team.id == name);
    if known { Ok(()) } else { Err(format!("there is no team `{name}`")) }
}

fn not_empty(text: String) -> Result<String, String> {
    if text.trim().is_empty() || text.contains(char::is_control) {
        return Err("write a name of one line".to_owned());
    }
    Ok(text)
}

fn part_of_day(text: &str) -> Result<sen_model::condition::Hours, String> {
    hours(text).ok_or_else(|| format!("`{text}` is no part of the day: write 22:00-06:00"))
}
