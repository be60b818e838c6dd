//! The page that stands in for the screens: open alerts and latest values as text, and how to
//! build the screens.

use std::fmt::Write;

use crate::centre::Centre;

/// Rows of each table; the page says so when there are more.
const MOST_ROWS: usize = 500;

/// The page as HTML.
pub(super) fn page(centre: &Centre) -> String {
    let mut page = String::from(TOP);
    if centre.config.insecure_dev {
        page.push_str(
            "<p><strong>insecure_dev: ai cũng xem và xác nhận được / open to anyone</strong></p>",
        );
    }
    let _ = write!(page, "<p>{}</p>", escape(&centre.now().to_string()));
    alerts(&mut page, centre);
    values(&mut page, centre);
    page.push_str("</body></html>\n");
    page
}

// The page loads itself anew: without the screens there is no live connection.
const TOP: &str = r#"<!doctype html>
<html lang="vi"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width"><title>Sen</title>
<style>body{font:16px/1.5 sans-serif;margin:2rem;max-width:70rem}table{border-collapse:collapse}
td,th{border:1px solid #999;padding:.2rem .6rem;text-align:left}</style></head><body>
<h1>Sen</h1>
<p>Giao diện chưa được dựng. Cài Node 20 trở lên, chạy <code>make web</code>, rồi dựng lại Sen.<br>
The screens have not been built. Install Node 20 or later, run <code>make web</code>, then build
Sen again.</p>
"#;

fn alerts(page: &mut String, centre: &Centre) {
    let alerts = centre.alerts();
    let _ = write!(page, "<h2>Cảnh báo đang mở / Open alerts: {}</h2>", alerts.open());
    page.push_str("<table><tr><th>Mức</th><th>Cảnh báo / alert</th><th>Trạng thái</th><th>Từ / since</th></tr>");
    let open = alerts.newest_first().into_iter().filter(|held| held.record.state.is_open());
    for held in open.take(MOST_ROWS) {
        let record = &held.record;
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}<br>{}</td><td>{}</td><td>{}</td></tr>",
            record.severity.level(),
            escape(&record.text.vi),
            escape(&record.text.en),
            record.state.as_str(),
            record.started_at,
        );
    }
    page.push_str("</table>");
}

fn values(page: &mut String, centre: &Centre) {
    let latest = centre.latest();
    let _ = write!(page, "<h2>Giá trị mới nhất / Latest values ({})</h2>", latest.sizes().0);
    page.push_str("<table><tr><th>Thiết bị / device</th><th>Chỉ số / metric</th><th>Giá trị</th><th>Lúc / at</th></tr>");
    let series = latest.devices_after(None).flat_map(|heard| {
        let series = latest.series_of(heard).into_iter();
        series.filter_map(move |(metric, one)| Some((&heard.id, metric, one?)))
    });
    for (device, metric, one) in series.take(MOST_ROWS) {
        let _ = write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(device.as_str()),
            escape(metric.as_str()),
            one.value,
            one.event_time,
        );
    }
    page.push_str("</table>");
}

/// Text that cannot become markup.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_devices_and_rules_say_stays_text() {
        let said = "<script>alert('x')</script> & \"quoted\"";
        let safe = escape(said);
        assert!(!safe.contains(['<', '>', '"', '\'']));
        assert_eq!(safe.matches("&amp;").count(), 1);
    }
}
