//! Pure: reads `rules.toml`, telling every problem with its line and key, not only the first.
//!
//! The file speaks as people do (`at_least = 1.6`, `for = "5m"`); [`sen_model::Rule`] is what it
//! means. Every `[[rule]]` is read key by key and checked against the registry, because a rule
//! with a mistyped kind would never match anything and nobody would notice its silence.

mod against;
mod duration;
mod section;

use std::collections::{BTreeMap, HashMap};

use sen_chassis::Problem;
use sen_chassis::config::line_of;
use sen_model::{Bound, Condition, Limit, Registry, Response, Rule, RuleId, Selector, Text};
use toml::de::{DeTable, DeValue};

use section::Section;

/// What problems call the file.
const FILE: &str = "rules.toml";

/// Texts that rules share by name: `owner = "civil_defence"`.
type Named = BTreeMap<String, Text>;

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
    let named = [file.take::<Named>("owners"), file.take::<Named>("responses")];
    let [owners, responses] = named.map(Option::unwrap_or_default);
    let elements = file.take_tables("rule");
    let mut problems = file.finish();

    let mut rules = Vec::new();
    let mut first_lines: HashMap<RuleId, usize> = HashMap::new();
    for (line, table) in elements {
        let mut section = Section::new(text, table, line);
        let rule = read_rule(&mut section, &owners, &responses);
        if let Some(rule) = &rule {
            against::check(rule, registry, &mut section);
            if let Some(first) = first_lines.get(&rule.id) {
                section
                    .problem("id", format!("`{}` is taken by the rule at line {first}", rule.id));
            }
            first_lines.entry(rule.id.clone()).or_insert(line);
        }
        problems.extend(section.finish());
        rules.extend(rule);
    }
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

/// One rule; every key is looked at even if an earlier one is wrong.
fn read_rule(section: &mut Section<'_>, owners: &Named, responses: &Named) -> Option<Rule> {
    let id = section.require("id");
    let name = section.require("name");
    let field = section.require("field");
    let severity = section.require("severity");
    let selector = Selector {
        devices: section.take("devices").unwrap_or_default(),
        kinds: section.take("kinds").unwrap_or_default(),
        areas: section.take("areas").unwrap_or_default(),
        fields: Vec::new(),
        tags: Vec::new(),
        metrics: section.take("metrics").unwrap_or_default(),
    };
    let condition = read_condition(section);
    let source: Option<String> = section.require("source");
    let owner = read_text(section, "owner", "owners", owners);
    let response = read_text(section, "response", "responses", responses);
    let needs_acknowledgement = section.take("needs_acknowledgement");

    if source.as_ref().is_some_and(|source| source.trim().is_empty()) {
        section.problem("source", "say where the limit comes from and how sure that is");
    }
    for (key, text) in [("name", &name), ("owner", &owner), ("response", &response)] {
        check_text(section, key, text.as_ref());
    }
    Some(Rule {
        id: id?,
        name: name?,
        field: field?,
        severity: severity?,
        selector,
        condition: condition?,
        source: source?,
        owner: owner?,
        response: Response {
            steps: response.into_iter().collect(),
            consequence: Text::default(),
            within_ms: 0,
        },
        needs_acknowledgement,
        when: None,
        latched: false,
        standing: sen_model::Standing::default(),
        cause: None,
        explains: false,
        stage: None,
    })
}

/// A text in place, or the name of one that rules share.
fn read_text(section: &mut Section<'_>, key: &str, table: &str, named: &Named) -> Option<Text> {
    if !matches!(section.peek(key), Some(DeValue::String(_))) {
        return section.require(key);
    }
    let name: String = section.take(key)?;
    let text = named.get(&name).cloned();
    if text.is_none() {
        section.problem(key, format!("there is no `{name}` in [{table}]"));
    }
    text
}

fn check_text(section: &mut Section<'_>, key: &str, text: Option<&Text>) {
    let Some(text) = text else { return };
    for (language, words) in [("vi", &text.vi), ("en", &text.en)] {
        if words.trim().is_empty() {
            section.problem(key, format!("`{language}` is empty"));
        }
    }
}

type MakeBound = fn(f64) -> Bound;
const BOUNDS: [(&str, MakeBound); 4] = [
    ("at_least", Bound::AtLeast),
    ("above", Bound::Above),
    ("at_most", Bound::AtMost),
    ("below", Bound::Below),
];

/// The condition: one limit with its timing, or `missing`.
fn read_condition(section: &mut Section<'_>) -> Option<Condition> {
    let given: Vec<&str> = BOUNDS
        .iter()
        .map(|(key, _)| *key)
        .chain(["missing"])
        .filter(|key| section.has(key))
        .collect();
    let bounds: Vec<Bound> =
        BOUNDS.iter().filter_map(|(key, make)| section.take_number(key).map(make)).collect();
    let missing_ms = section.take_duration("missing");
    let clear = section.take_number("clear");
    let for_ms = section.take_duration("for");
    let clear_for_ms = section.take_duration("clear_for");
    match given.as_slice() {
        [] => {
            let one_of = "needs one of `at_least`, `above`, `at_most`, `below` or `missing`";
            section.problem("rule", one_of);
            return None;
        }
        [_] => {}
        [first, second, ..] => {
            section.problem(second, format!("`{first}` is given too: one condition a rule"));
            return None;
        }
    }
    if given == ["missing"] {
        for key in ["clear", "for", "clear_for"] {
            if section.was_given(key) {
                section.problem(key, "makes no sense beside `missing`");
            }
        }
        return missing_ms.map(|missing_ms| Condition::Absence { missing_ms });
    }
    let bound = *bounds.first()?;
    if clear.is_some_and(|clear| bound.is_broken_by(clear)) {
        let side = if bound.is_upper() { "below" } else { "above" };
        let limit = bound.limit();
        section.problem("clear", format!("must be {side} the limit {limit}, or it never clears"));
    }
    let (for_ms, clear_for_ms) = (for_ms.unwrap_or(0), clear_for_ms.unwrap_or(0));
    Some(Condition::Threshold { limit: Limit { bound, clear, for_ms, clear_for_ms } })
}

#[cfg(test)]
mod tests;
