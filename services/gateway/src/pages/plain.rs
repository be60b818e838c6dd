//! The page that stands in for the screens: open alerts and latest values as text, and how to
//! build the screens.

use std::fmt::Write;

use sen_model::Timestamp;

use crate::projection::{Alerts, Latest};

/// Rows of each table; the page says so when there are more.
const MOST_ROWS: usize = 500;

/// The page as HTML; without `alerts` it says that they are still being read.
pub(super) fn page(
    alerts: Option<&Alerts>,
    latest: &Latest,
    now: Timestamp,
    insecure_dev: bool,
) -> String {
    let mut page = String::from(TOP);
    if insecure_dev {
        page.push_str(
            "<p><strong>insecure_dev: ai cũng xem và xác nhận được / open to anyone</strong></p>",
        );
    }
    let _ = write!(page, "<p>{now}</p>");
    match alerts {
        Some(alerts) => list_alerts(&mut page, alerts),
        None => page
            .push_str("<h2>Đang đọc lại nhật ký cảnh báo / The alert log is still being read</h2>"),
    }
    list_values(&mut page, latest);
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
<p>Trang chữ, không có bản đồ. Nếu <a href="/wall">màn hình</a> cũng chỉ là trang này thì giao diện
chưa được dựng: cài Node 20 trở lên, chạy <code>make web</code>, rồi dựng lại Sen.<br>
Plain text, without the map. If the <a href="/wall">wall</a> is this page, too, the screens have not
been built: install Node 20 or later, run <code>make web</code>, then build Sen again.</p>
"#;

fn list_alerts(page: &mut String, alerts: &Alerts) {
    let open: Vec<_> =
        alerts.newest_first().into_iter().filter(|held| held.record.is_shown()).collect();
    let _ = write!(page, "<h2>Cảnh báo đang mở / Open alerts: {}</h2>", open.len());
    page.push_str("<table><tr><th>Mức</th><th>Cảnh báo / alert</th><th>Trạng thái</th><th>Từ / since</th></tr>");
    for held in open.into_iter().take(MOST_ROWS) {
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

fn list_values(page: &mut String, latest: &Latest) {
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
pub(super) fn escape(text: &str) -> String {
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
    use std::sync::Arc;

    use sen_model::{Field, Registry};

    use super::*;
    use crate::sample;

    #[test]
    fn open_alerts_and_latest_values_are_on_the_page() {
        let (mut alerts, mut latest) = (Alerts::default(), Latest::new(&Registry::default(), 9));
        let mut alert = sample::alert("a", 1, Field::Environment);
        alert.text.vi = "Nước <b>cao</b>".into();
        alerts.apply(1, Arc::new(alert));
        alerts.apply(2, Arc::new(sample::alert("b", 3, Field::Environment)));
        latest.apply(&sample::batch("stn-my-tho", "water_level_m", 1, 1.625));
        let page = page(Some(&alerts), &latest, Timestamp::from_millis(0), true);
        for wanted in [
            "Open alerts: 1",
            "Nước &lt;b&gt;cao",
            "stn-my-tho",
            "1.625",
            "make web",
            "insecure_dev",
        ] {
            assert!(page.contains(wanted), "{wanted}: {page}");
        }
        assert!(!page.contains("<b>") && page.ends_with("</html>\n"));
    }

    #[test]
    fn what_devices_and_rules_say_stays_text() {
        let said = "<script>alert('x')</script> & \"quoted\"";
        let safe = escape(said);
        assert!(!safe.contains(['<', '>', '"', '\'']));
        assert_eq!(safe.matches("&amp;").count(), 1);
    }
}
