//! Pure: what the operator is expected to do. No response, no alarm: a rule without steps, without
//! a consequence or without a time is refused.

use sen_model::{Response, Text};
use toml::de::DeValue;

use super::section::Section;
use super::{Responses, check_text};

/// Steps of one response, at most: more is a plan, and belongs into a document.
const MOST_STEPS: usize = 12;

/// The responses that rules share: `[responses.<name>]`.
pub(super) fn read_shared(file: &mut Section<'_>) -> Responses {
    let Some(mut all) = file.take_section("responses") else { return Responses::new() };
    let mut responses = Responses::new();
    for (name, mut section) in all.take_sections() {
        responses.insert(name, read_one(&mut section));
        file.absorb(section);
    }
    file.absorb(all);
    responses
}

/// The response of a rule: in place, or the name of one that rules share.
pub(super) fn read(
    section: &mut Section<'_>,
    shared: &Responses,
    is_part: bool,
) -> Option<Response> {
    const KEY: &str = "response";
    if !section.has(KEY) {
        if is_part {
            return Some(Response::default());
        }
        section.problem(KEY, "is missing: a rule that nobody can act on is no alarm");
        return None;
    }
    if let Some(DeValue::String(_)) = section.peek(KEY) {
        let name: String = section.take(KEY)?;
        let found = shared.get(&name).cloned();
        if found.is_none() {
            section.problem(KEY, format!("there is no `{name}` in [responses]"));
        }
        return found?;
    }
    let mut inner = section.take_section(KEY)?;
    let response = read_one(&mut inner);
    section.absorb(inner);
    response
}

fn read_one(section: &mut Section<'_>) -> Option<Response> {
    let steps: Option<Vec<Text>> = section.require("steps");
    let consequence: Option<Text> = section.require("consequence");
    let within_ms = section.require_span("within");
    for step in steps.iter().flatten() {
        check_text(section, "steps", Some(step));
    }
    match steps.as_ref().map(Vec::len) {
        Some(0) => section.problem("steps", "say at least one thing to do"),
        Some(count) if count > MOST_STEPS => {
            section.problem("steps", format!("{count} steps are too many: {MOST_STEPS} at most"));
        }
        _ => {}
    }
    check_text(section, "consequence", consequence.as_ref());
    Some(Response { steps: steps?, consequence: consequence?, within_ms: within_ms? })
}
