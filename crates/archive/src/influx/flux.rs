//! Queries in Flux: fixed texts, with every value as a typed literal beside them. Pure: values in, a
//! request body out.
//!
//! The `params` of a query exist in InfluxDB's cloud only. What the open-source server takes is
//! `extern`: a syntax tree that is put before the query. Its own user interface sends the variables
//! of a dashboard this way, as the properties of an option `v`; so do we. No value is ever part of
//! the text.

use influxdb2::models::ast::dialect::Annotations;
use influxdb2::models::ast::{
    Dialect, Expression, Identifier, Property, PropertyKey, Statement, VariableAssignment,
};
use influxdb2::models::{File, Query};
use serde_json::{Value, json};

/// Readings of a series in a span, in order: `bucket`, `from`, `to` (ns), `device`, `metric`,
/// `limit`.
pub(crate) const POINTS: &str = r#"from(bucket: v.bucket)
    |> range(start: time(v: v.from), stop: time(v: v.to))
    |> filter(fn: (r) => r._measurement == "reading" and r.device == v.device and r.metric == v.metric)
    |> limit(n: v.limit)
    |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
    |> keep(columns: ["_time", "value", "quality", "received_at"])
    |> sort(columns: ["_time"])"#;

/// The last reading of a series: as [`POINTS`], without a limit.
pub(crate) const LATEST: &str = r#"from(bucket: v.bucket)
    |> range(start: time(v: v.from), stop: time(v: v.to))
    |> filter(fn: (r) => r._measurement == "reading" and r.device == v.device and r.metric == v.metric)
    |> last()
    |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
    |> keep(columns: ["_time", "value", "quality", "received_at"])"#;

/// The exact partials of a series and tier, in order of their windows: as [`POINTS`], and `tier`.
pub(crate) const SUMMARIES: &str = r#"from(bucket: v.bucket)
    |> range(start: time(v: v.from), stop: time(v: v.to))
    |> filter(fn: (r) => r._measurement == "summary" and r.device == v.device and r.metric == v.metric and r.tier == v.tier and r._field == "partial")
    |> limit(n: v.limit)
    |> keep(columns: ["_time", "_value"])"#;

/// Every series there is: `bucket`, `from`, `to`, `limit`.
pub(crate) const SERIES: &str = r#"from(bucket: v.bucket)
    |> range(start: time(v: v.from), stop: time(v: v.to))
    |> filter(fn: (r) => r._measurement == "reading" and r._field == "value")
    |> first()
    |> keep(columns: ["device", "metric"])
    |> group()
    |> limit(n: v.limit)"#;

/// A value of a query.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Literal<'a> {
    Text(&'a str),
    Whole(i64),
}

/// The body of a query request.
pub(crate) fn body(text: &str, values: &[(&str, Literal<'_>)]) -> Value {
    let dialect = Dialect {
        annotations: vec![Annotations::Datatype],
        ..Query::default().dialect.unwrap_or_default()
    };
    let query = Query {
        r#extern: Some(variables(values)),
        dialect: Some(dialect),
        ..Query::new(text.to_owned())
    };
    // Serialising names and numbers cannot fail.
    let mut body = serde_json::to_value(query).unwrap_or_default();
    if let Some(tree) = body.get_mut("extern").and_then(Value::as_object_mut) {
        // `influxdb2` leaves empty lists out; the server's reader insists on this one.
        tree.insert("imports".into(), json!([]));
    }
    body
}

/// `option v = {name: literal, …}`
fn variables(values: &[(&str, Literal<'_>)]) -> File {
    let kind = |text: &str| Some(text.to_owned());
    let property = |(name, literal): &(&str, Literal<'_>)| Property {
        r#type: kind("Property"),
        key: Some(PropertyKey { r#type: kind("Identifier"), name: kind(name), value: None }),
        value: Some(expression(*literal)),
    };
    let record = Expression {
        r#type: kind("ObjectExpression"),
        properties: values.iter().map(property).collect(),
        ..Expression::default()
    };
    let assignment = VariableAssignment {
        r#type: kind("VariableAssignment"),
        id: Some(Identifier { r#type: kind("Identifier"), name: kind("v") }),
        init: Some(record),
    };
    let option = Statement {
        r#type: kind("OptionStatement"),
        assignment: Some(assignment),
        ..Statement::default()
    };
    File { r#type: kind("File"), body: vec![option], ..File::default() }
}

fn expression(literal: Literal<'_>) -> Expression {
    let (kind, value) = match literal {
        Literal::Text(text) => ("StringLiteral", text.to_owned()),
        // As text, since JSON's numbers do not hold every i64.
        Literal::Whole(number) => ("IntegerLiteral", number.to_string()),
    };
    Expression { r#type: Some(kind.to_owned()), value: Some(value), ..Expression::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_beside_the_text_and_never_in_it() {
        let hostile = "\") |> to(bucket: \"x\") //";
        let body =
            body(SERIES, &[("bucket", Literal::Text(hostile)), ("limit", Literal::Whole(-7))]);
        assert_eq!(body["query"], SERIES);
        let expected = json!({
            "type": "File",
            "imports": [],
            "body": [{
                "type": "OptionStatement",
                "assignment": {
                    "type": "VariableAssignment",
                    "id": {"type": "Identifier", "name": "v"},
                    "init": {"type": "ObjectExpression", "properties": [
                        {
                            "type": "Property",
                            "key": {"type": "Identifier", "name": "bucket"},
                            "value": {"type": "StringLiteral", "value": hostile},
                        },
                        {
                            "type": "Property",
                            "key": {"type": "Identifier", "name": "limit"},
                            "value": {"type": "IntegerLiteral", "value": "-7"},
                        },
                    ]},
                },
            }],
        });
        assert_eq!(body["extern"], expected);
        assert_eq!(body["dialect"]["annotations"], json!(["datatype"]));
    }
}
