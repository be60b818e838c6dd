//! Pure: conditions written in CEL, for what the other kinds of rule cannot say.
//!
//! An expression sees `value`, `quality`, `metric` and `event_time` (milliseconds UTC) of the
//! reading, `device` (`id`, `name`, `kind`, `field`, `area`, `lat`, `lon`, `tags`, `interval_ms`),
//! `area` (`code`, `name`), and the named values its rule asks for. It must say true or false.
//! What fails is an error value, counted and told once. How long it takes is bounded by its form,
//! because CEL itself counts no steps: few characters and operations, short lists, and one loop
//! (`all`, `exists`, `map` …) never within another, nor over what another made.

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr};
use cel::{Context, ExecutionError, IdedExpr, Program, Value};
use sen_model::condition::Reference;
use sen_model::{Device, DeviceId, Metric, Registry, Timestamp};

/// What every expression sees.
const KNOWN: [&str; 6] = ["value", "quality", "metric", "event_time", "device", "area"];
/// Characters of an expression, at most.
const MOST_CHARS: usize = 1_000;
/// Operations, names and values of an expression, at most. A loop is some ten of them.
const MOST_NODES: usize = 400;
/// Elements of a list or map that an expression spells out, at most.
const MOST_ELEMENTS: usize = 64;

/// A reading before an expression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) metric: &'a Metric,
    pub(crate) event_time: Timestamp,
    pub(crate) value: f64,
}

/// An expression ready to run.
#[derive(Debug)]
pub(crate) struct Expression {
    program: Program,
    /// Which of [`KNOWN`] it uses: the others are not prepared.
    uses: [bool; KNOWN.len()],
}

impl Expression {
    /// Reads an expression; the error says what is wrong with it.
    pub(crate) fn compile(text: &str, references: &[Reference]) -> Result<Self, String> {
        if text.chars().count() > MOST_CHARS {
            return Err(format!("is longer than {MOST_CHARS} characters"));
        }
        let program = Program::compile(text).map_err(|error| format!("is not CEL: {error}"))?;
        check_form(program.expression())?;
        let found = program.references();
        let uses = KNOWN.map(|name| found.has_variable(name));
        if let Some(reference) = references.iter().find(|one| KNOWN.contains(&one.name.as_str())) {
            return Err(format!("`{}` is taken: call the reference otherwise", reference.name));
        }
        if let Some(unused) = references.iter().find(|one| !found.has_variable(&one.name)) {
            return Err(format!("does not use the reference `{}`", unused.name));
        }
        drop(found);
        Ok(Self { program, uses })
    }
}

/// Refuses what could run for long. With one loop at most within any other, nothing takes more
/// steps than the square of [`MOST_NODES`], or than a device has tags.
fn check_form(expression: &IdedExpr) -> Result<(), String> {
    let mut nodes = 0;
    let mut left = vec![(expression, false)];
    while let Some((node, is_in_loop)) = left.pop() {
        nodes += 1;
        if nodes > MOST_NODES {
            return Err(format!("has more than {MOST_NODES} operations: make two rules of it"));
        }
        if is_in_loop && matches!(node.expr, Expr::Comprehension(_)) {
            let advice = "put one beside the other, or name its cases with `||` and `&&`";
            return Err(format!("has a loop (all, exists, map, filter) within another: {advice}"));
        }
        let is_in_loop = is_in_loop || matches!(node.expr, Expr::Comprehension(_));
        let inside = within(&node.expr);
        let elements = match &node.expr {
            Expr::List(list) => list.elements.len(),
            Expr::Map(map) => map.entries.len(),
            _ => 0,
        };
        if elements > MOST_ELEMENTS {
            return Err(format!("has a list of {elements}: at most {MOST_ELEMENTS}"));
        }
        left.extend(inside.into_iter().map(|node| (node, is_in_loop)));
    }
    Ok(())
}

/// What an operation is made of.
fn within(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(it) => {
            vec![&it.iter_range, &it.accu_init, &it.loop_cond, &it.loop_step, &it.result]
        }
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| parts_of(&entry.expr)).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Struct(it) => it.entries.iter().flat_map(|entry| parts_of(&entry.expr)).collect(),
    }
}

fn parts_of(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// What expressions are judged with: the functions of CEL, and what is known of each device. Made
/// once, as it is many times dearer than an expression.
pub(crate) struct Scope {
    root: Context<'static, 'static>,
    devices: HashMap<DeviceId, [Value; 2]>,
}

impl std::fmt::Debug for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scope").field("devices", &self.devices.len()).finish_non_exhaustive()
    }
}

impl Scope {
    /// The devices of a registry; of none, if there is no expression to judge.
    pub(crate) fn new<'a>(registry: &Registry, devices: impl Iterator<Item = &'a Device>) -> Self {
        let described = |device: &Device| (device.id.clone(), describe(device, registry));
        Self { root: Context::default(), devices: devices.map(described).collect() }
    }

    /// Whether the expression is true for a reading; the named values are those it asks for.
    pub(crate) fn holds(
        &self,
        expression: &Expression,
        subject: Subject<'_>,
        named: &[(&str, f64)],
    ) -> Result<bool, String> {
        match self.run(expression, subject, named) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("says {other:?} instead of true or false")),
            Err(error) => Err(error.to_string()),
        }
    }

    fn run(
        &self,
        expression: &Expression,
        subject: Subject<'_>,
        named: &[(&str, f64)],
    ) -> Result<Value, ExecutionError> {
        let mut context = self.root.new_inner_scope();
        for (name, _) in KNOWN.iter().zip(expression.uses).filter(|(_, is_used)| *is_used) {
            context.add_variable_from_value(*name, self.known(name, subject));
        }
        for (name, value) in named {
            context.add_variable_from_value(*name, Value::Float(*value));
        }
        expression.program.execute(&context)
    }

    fn known(&self, name: &str, subject: Subject<'_>) -> Value {
        match name {
            "value" => Value::Float(subject.value),
            // Only good readings are judged.
            "quality" => text("good"),
            "metric" => text(subject.metric.as_str()),
            "event_time" => Value::Int(subject.event_time.as_millis()),
            "device" => self.device(subject.device, 0),
            _ => self.device(subject.device, 1),
        }
    }

    /// What is known of a device (0) or its area (1); of a stranger only its id.
    fn device(&self, id: &DeviceId, which: usize) -> Value {
        match (self.devices.get(id), which) {
            (Some(known), _) => known[which].clone(),
            (None, 0) => map([("id", text(id.as_str()))]),
            (None, _) => map([]),
        }
    }
}

/// Whether an expression runs at all, tried on a device: mistyped fields and mixed types show only
/// when it runs.
pub(crate) fn try_out(
    expression: &Expression,
    references: &[Reference],
    registry: &Registry,
    (device, metric): (&Device, &Metric),
) -> Result<(), String> {
    let scope = Scope::new(registry, std::iter::once(device));
    let named: Vec<(&str, f64)> =
        references.iter().map(|reference| (reference.name.as_str(), 1.0)).collect();
    let subject =
        Subject { device: &device.id, metric, event_time: Timestamp::from_millis(0), value: 1.0 };
    match scope.run(expression, subject, &named) {
        Ok(Value::Bool(_)) => Ok(()),
        Ok(other) => Err(format!("says {other:?} instead of true or false")),
        // The numbers of the trial are no real ones.
        Err(
            ExecutionError::DivisionByZero(_)
            | ExecutionError::RemainderByZero(_)
            | ExecutionError::Overflow(..)
            | ExecutionError::IndexOutOfBounds(_),
        ) => Ok(()),
        Err(ExecutionError::UndeclaredReference(name)) => {
            Err(format!("there is no `{name}`: it can use {} and its references", KNOWN.join(", ")))
        }
        Err(error) => Err(format!("does not run: {error}")),
    }
}

fn describe(device: &Device, registry: &Registry) -> [Value; 2] {
    let tags: Vec<Value> = device.tags.iter().map(|tag| text(tag)).collect();
    let about = map([
        ("id", text(device.id.as_str())),
        ("name", text(&device.name.vi)),
        ("kind", text(&device.kind)),
        ("field", text(device.field.as_str())),
        ("area", text(device.area.as_str())),
        ("lat", Value::Float(device.lat)),
        ("lon", Value::Float(device.lon)),
        ("tags", Value::List(Arc::new(tags))),
        ("interval_ms", Value::Int(device.interval_ms)),
    ]);
    let name = registry.area(&device.area).map_or("", |place| place.name.vi.as_str());
    [about, map([("code", text(device.area.as_str())), ("name", text(name))])]
}

fn text(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    Value::from(HashMap::from(fields))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{device_id, metric, registry};

    fn judged(cel: &str, device: &str, value: f64, named: &[(&str, f64)]) -> Result<bool, String> {
        let references: Vec<Reference> = named
            .iter()
            .map(|(name, _)| Reference {
                name: (*name).to_owned(),
                device: None,
                metric: metric("level"),
            })
            .collect();
        let expression = Expression::compile(cel, &references)?;
        let registry = registry();
        let scope = Scope::new(&registry, registry.devices());
        let (device, metric) = (device_id(device), metric("level"));
        let event_time = Timestamp::from_millis(1_000);
        scope.holds(
            &expression,
            Subject { device: &device, metric: &metric, event_time, value },
            named,
        )
    }

    #[test]
    fn an_expression_sees_the_reading_its_device_its_area_and_named_values() {
        for (cel, device, value, named, expected) in [
            ("value > 3", "stn-a", 3.5, &[][..], true),
            ("value > 3", "stn-a", 3.0, &[], false),
            ("value > 3 && device.kind == 'river'", "stn-a", 4.0, &[], true),
            ("value > 3 && device.kind == 'river'", "pump-1", 4.0, &[], false),
            ("area.code == '28261' && area.name.contains('Mỹ Tho')", "stn-a", 0.0, &[], true),
            ("metric == 'level' && quality == 'good'", "stn-a", 0.0, &[], true),
            ("event_time == 1000 && device.interval_ms == 1000", "stn-a", 0.0, &[], true),
            ("value - upstream >= 0.5", "stn-a", 3.0, &[("upstream", 2.5)], true),
            ("value - upstream >= 0.5", "stn-a", 3.0, &[("upstream", 2.6)], false),
            ("'tidal' in device.tags", "stn-a", 0.0, &[], false),
            ("has(device.kind)", "stranger", 0.0, &[], false),
            ("device.id == 'stranger'", "stranger", 0.0, &[], true),
            ("['a', 'b'].exists(x, device.id.endsWith(x))", "stn-a", 0.0, &[], true),
        ] {
            assert_eq!(judged(cel, device, value, named), Ok(expected), "{cel} {device}");
        }
    }

    #[test]
    fn what_fails_says_why_and_stops_nothing() {
        for (cel, words) in [
            ("value >", "is not CEL"),
            ("valeu > 3", "Undeclared reference to 'valeu'"),
            ("device.knd == 'river'", "No such key: knd"),
            ("value", "instead of true or false"),
            ("event_time / (event_time - 1000) > 0", "Division by zero"),
            ("value + 'm' == '1m'", "Unsupported binary operator"),
            ("9223372036854775807 + event_time > 0", "Overflow"),
        ] {
            let error = judged(cel, "stn-a", 1.0, &[]).unwrap_err();
            assert!(error.contains(words), "{cel}: {error}");
        }
        let long = "true || ".repeat(200) + "true";
        assert!(judged(&long, "stn-a", 1.0, &[]).unwrap_err().contains("longer than"));
        assert!(judged("value > 1", "stn-a", 1.0, &[("b", 1.0)]).unwrap_err().contains("`b`"));
        assert!(
            judged("value > 1", "stn-a", 1.0, &[("value", 1.0)]).unwrap_err().contains("taken")
        );
    }

    #[test]
    fn what_could_run_for_long_is_refused_at_once_and_told_why() {
        let mut hostile = "true".to_owned();
        for depth in 0..20 {
            hostile = format!("[0,1,2,3,4,5,6,7,8,9].all(x{depth}, {hostile})");
        }
        assert!(hostile.chars().count() <= MOST_CHARS);
        let doubled = "[1]".to_owned() + &".map(x, [x, x])".repeat(40) + ".size() > 0";
        let wide = format!("value in [{}]", vec!["1.0"; MOST_ELEMENTS + 1].join(","));
        let many = "value + ".repeat(MOST_CHARS / 8 - 2) + "1.0 > 0.0";
        for (cel, words) in [
            (hostile.as_str(), "within another: put one beside the other"),
            (&doubled, "within another"),
            ("device.tags.filter(t, t != 'a').exists(t, t == 'b')", "within another"),
            ("{'a': [1].all(x, [2].all(y, x < y))}.a", "within another"),
            (&wide, "a list of 65: at most 64"),
        ] {
            let error = judged(cel, "stn-a", 1.0, &[]).unwrap_err();
            assert!(error.contains(words), "{cel}: {error}");
        }
        for cel in [
            many.as_str(),
            "[1.0, 2.0].exists(x, x == value) && [3.0].all(x, x > value)",
            "device.tags.all(t, t != 'a')",
        ] {
            assert_eq!(judged(cel, "stn-a", 1.0, &[]), Ok(true), "{cel}");
        }
        let node = |n: usize| "1 < 2 || ".repeat(n) + "true";
        assert!(judged(&node(110), "stn-a", 1.0, &[]).unwrap_err().contains("make two rules"));
        for deep in ["(", "!", "-", "[", "a.b(", "[1].all(x, "] {
            let text = deep.repeat(MOST_CHARS / deep.len());
            assert!(judged(&text, "stn-a", 1.0, &[]).is_err(), "{deep}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_stops_the_reader(
            words in proptest::collection::vec("[a-z]{1,3}|[0-9.]{1,4}|[-+*/%<>=!&|?:.,()\\[\\]{}'\"\\\\ ]|value|device|has|all|null|true|0x|u|r'|\\PC", 0..30),
        ) {
            let text = words.concat();
            let _ = judged(&text, "stn-a", 1.0, &[]);
        }
    }
}
