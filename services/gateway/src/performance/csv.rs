//! Pure: a report as a table of text: one line for each figure.

use super::report::{Bound, Performance, Report};

/// What stands between the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Separator {
    /// As in RFC 4180.
    Comma,
    /// As spreadsheets with a decimal comma expect it, Vietnamese ones among them. Such a table
    /// begins with a byte order mark, by which they know UTF-8.
    Semicolon,
}

const HEAD: [&str; 7] = ["of", "figure", "value", "unit", "bound", "target", "met"];
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// The table.
pub fn table(performance: &Performance, separator: Separator) -> String {
    let between = if separator == Separator::Comma { "," } else { ";" };
    let mut table = String::new();
    if separator == Separator::Semicolon {
        table.push_str(BYTE_ORDER_MARK);
    }
    line(&mut table, &HEAD.map(str::to_owned), between);
    let reports = std::iter::once(&performance.total).chain(&performance.desks);
    for report in reports.chain(&performance.rules) {
        counts(&mut table, report, between);
        for figure in &report.figures {
            let target = figure.target;
            let bound = target.map_or("", |target| match target.bound {
                Bound::AtMost => "at_most",
                Bound::AtLeast => "at_least",
            });
            let cells = [
                report.of.clone(),
                figure.name.to_owned(),
                figure.value.map(|value| value.to_string()).unwrap_or_default(),
                figure.unit.to_owned(),
                bound.to_owned(),
                target.map(|target| target.value.to_string()).unwrap_or_default(),
                figure.met.map(|met| met.to_string()).unwrap_or_default(),
            ];
            line(&mut table, &cells, between);
        }
    }
    table
}

fn counts(table: &mut String, report: &Report, between: &str) {
    let counts = [
        ("shown", report.shown),
        ("shown_critical", report.by_severity[0]),
        ("shown_high", report.by_severity[1]),
        ("shown_medium", report.by_severity[2]),
        ("shown_low", report.by_severity[3]),
        ("never_shown", report.never_shown),
        ("shelved", report.shelved),
        ("suppressed", report.suppressed),
        ("out_of_service", report.out_of_service),
        ("drill", report.drill),
    ];
    for (name, count) in counts {
        let [of, name, count, one] = [&report.of, name, &count.to_string(), "1"].map(str::to_owned);
        let empty = String::new();
        let cells = [of, name, count, one, empty.clone(), empty.clone(), empty];
        line(table, &cells, between);
    }
}

/// No cell needs quotes: names of rules and figures hold no separator, quote or line break.
fn line(table: &mut String, cells: &[String], between: &str) {
    table.push_str(&cells.join(between));
    table.push_str("\r\n");
}
