//! Pure: reads `rules.toml`, telling every problem with its line and key, not only the first.
//!
//! The file speaks as people do (`at_least = 1.6`, `for = "5m"`); [`sen_model::Rule`] is what it
//! means. Every `[[rule]]` is read key by key and checked against the registry and the other rules,
//! because a rule with a mistyped kind would never match anything and nobody would notice its
//! silence. What each key means is told at the top of the file that is shipped.

mod against;
mod among;
mod condition;
mod duration;
mod groups;
mod response;
mod schedule;
mod section;

use std::collections::{BTreeMap, HashMap};

use sen_chassis::Problem;
use sen_chassis::config::line_of;
use sen_model::{Condition, Registry, Response, Rule, RuleId, Selector, Severity, Standing, Text};
use toml::de::{DeTable, DeValue};

use schedule::Calendar;
use section::Section;

use crate::builtin::PROBE;

/// What problems call the file.
const FILE: &str = "rules.toml";

/// Texts that rules share by name: `owner = "civil_defence"`.
type Owners = BTreeMap<String, Text>;
/// Responses that rules share by name; none for one with a problem, which was told there.
type Responses = BTreeMap<String, Option<Response>>;

/// What rules share.
struct Shared {
    owners: Owners,
    responses: Responses,
    calendar: Calendar,
}

/// One rule of the file, while it is checked.
struct Entry<'t> {
    section: Section<'t>,
    id: Option<RuleId>,
    /// None if something that it must have is missing or wrong.
    rule: Option<Rule>,
}

/// Reads the rules. On failure gives every problem there is, by line.
pub fn parse(text: &str, registry: &Registry) -> Result<Vec<Rule>, Vec<Problem>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let told = |error: &toml::de::Error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            Problem::new(format!("{FILE}:{line}"), error.message())
        };
        return Err(errors.iter().map(told).collect());
    }
    let mut file = Section::new(text, root.into_inner(), 1);
    let shared = Shared {
        owners: file.take("owners").unwrap_or_default(),
        responses: response::read_shared(&mut file),
        calendar: schedule::read_calendar(&mut file),
    };
    let tables = file.take_tables("rule");
    let mut problems = file.finish();

    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut first_lines: HashMap<RuleId, usize> = HashMap::new();
    for (line, table) in tables {
        let mut section = Section::new(text, table, line);
        let id: Option<RuleId> = section.require("id");
        let rule = read_rule(&mut section, id.clone(), &shared);
        if let Some(rule) = &rule {
            against::check(rule, registry, &mut section);
        }
        if let Some(id) = &id {
            if let Some(first) = first_lines.get(id) {
                section.problem("id", format!("`{id}` is taken by the rule at line {first}"));
            }
            if id.as_str() == PROBE {
                section.problem("id", format!("`{id}` is the centre's own rule: take another"));
            }
            first_lines.entry(id.clone()).or_insert(line);
        }
        entries.push(Entry { section, id, rule });
    }
    among::check(&mut entries, registry);
    let mut rules = Vec::new();
    for Entry { section, rule, .. } in entries {
        problems.extend(section.finish());
        rules.extend(rule);
    }
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

/// One rule; every key is looked at even if an earlier one is wrong.
fn read_rule(section: &mut Section<'_>, id: Option<RuleId>, shared: &Shared) -> Option<Rule> {
    let name: Option<Text> = section.require("name");
    let field = section.require("field");
    let selector = Selector {
        devices: section.take("devices").unwrap_or_default(),
        kinds: section.take("kinds").unwrap_or_default(),
        areas: section.take("areas").unwrap_or_default(),
        fields: section.take("fields").unwrap_or_default(),
        tags: section.take("tags").unwrap_or_default(),
        metrics: section.take("metrics").unwrap_or_default(),
    };
    let own_severity = read_severity(section);
    let condition = condition::read(section);
    // Of a rule with levels it is the worst of them.
    let severity = match &condition {
        Some(Condition::Levels { levels }) => levels.iter().map(|level| level.severity).min(),
        _ => own_severity,
    };
    let when = schedule::read(section, &shared.calendar);
    let standing: Standing = section.take("standing").unwrap_or_default();
    // What nobody gets to see needs nobody to act on it.
    let is_part = standing == Standing::Part;
    let source = read_source(section, is_part);
    let owner = read_owner(section, &shared.owners, is_part);
    let response = response::read(section, &shared.responses, is_part);
    check_text(section, "name", name.as_ref());
    let stage = section.take("stage").filter(|stage| {
        if !(2..=5).contains(stage) {
            section.problem("stage", "a stage that rules speak for is 2, 3, 4 or 5");
        }
        (2..=5).contains(stage)
    });
    Some(Rule {
        needs_acknowledgement: section.take("needs_acknowledgement"),
        latched: section.take("latched").unwrap_or(false),
        cause: section.take("cause"),
        explains: section.take("explains").unwrap_or(false),
        when,
        standing,
        stage,
        source: source?,
        owner: owner?,
        response: response?,
        ..Rule::new(id?, name?, field?, severity?, selector, condition?)
    })
}

/// How bad it is, unless its levels say so.
fn read_severity(section: &mut Section<'_>) -> Option<Severity> {
    if !section.has("level") {
        return section.require("severity");
    }
    if section.has("severity") {
        section.skip("severity");
        section.problem("severity", "each level has its own: say it there");
    }
    None
}

fn read_source(section: &mut Section<'_>, is_part: bool) -> Option<String> {
    if is_part && !section.has("source") {
        return Some(String::new());
    }
    let source: String = section.require("source")?;
    if source.trim().is_empty() {
        section.problem("source", "say where the limit comes from and how sure that is");
    }
    Some(source)
}

/// The unit that must act: in place, or the name of one that rules share.
fn read_owner(section: &mut Section<'_>, owners: &Owners, is_part: bool) -> Option<Text> {
    const KEY: &str = "owner";
    if is_part && !section.has(KEY) {
        return Some(Text::default());
    }
    let owner = match section.peek(KEY) {
        Some(DeValue::String(_)) => {
            let name: String = section.take(KEY)?;
            let owner = owners.get(&name).cloned();
            if owner.is_none() {
                section.problem(KEY, format!("there is no `{name}` in [owners]"));
            }
            owner
        }
        _ => section.require(KEY),
    };
    check_text(section, KEY, owner.as_ref());
    owner
}

fn check_text(section: &mut Section<'_>, key: &str, text: Option<&Text>) {
    let Some(text) = text else { return };
    for (language, words) in [("vi", &text.vi), ("en", &text.en)] {
        if words.trim().is_empty() {
            section.problem(key, format!("`{language}` is empty"));
        }
    }
}

#[cfg(test)]
mod tests;
