//! `sen backtest` over a store with a known history.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::path::Path;
use std::process::{Command, Output};

use sen_model::time::DAY_MS;
use sen_model::{DeviceId, Metric, Quality, Timestamp};
use sen_store::{Checkpoint, Config, Point, SeriesId, Store, Summary};
use serde_json::Value;

/// 2026-11-23T00:00:00Z.
const BEGIN_MS: i64 = 20_780 * DAY_MS;

/// Ten times high for a hundred seconds, and once three times within a minute.
async fn fill(folder: &Path) {
    let store = Store::open(folder.join("store"), Config::default()).unwrap();
    let metric = Metric::new("water_level_m").unwrap();
    let id = store.series_id(&DeviceId::new("stn-my-tho").unwrap(), &metric).unwrap();
    let point = |n: i64| {
        let is_high = n % 100 < 10 || [550, 552, 554].contains(&n);
        let event_time = Timestamp::from_millis(BEGIN_MS + n * 10_000);
        let (value, quality) = (if is_high { 1.9 } else { 0.5 }, Quality::Good);
        (id, Point { event_time, sequence: 0, value, quality, received_at: event_time })
    };
    store.write(&mut (0..1_000).map(point).collect()).await.unwrap();
    let checkpoint = Checkpoint { epoch: "e".into(), next: 1 };
    store.commit(Vec::<(SeriesId, Summary)>::new(), checkpoint).await.unwrap();
}

fn rule(condition: &str) -> String {
    format!(
        r#"
[[rule]]
id = "tried"
name = {{ vi = "Mực nước cao", en = "High water" }}
field = "environment"
severity = 2
devices = ["stn-my-tho"]
metrics = ["water_level_m"]
{condition}
source = "QĐ 05/2020/QĐ-TTg"
owner = {{ vi = "Ban Chỉ huy", en = "Command" }}
response.steps = [{{ vi = "Báo ngay", en = "Tell at once" }}]
response.consequence = {{ vi = "Ngập", en = "Flooding" }}
response.within = "5m"
"#
    )
}

fn backtest(folder: &Path, rules: &str, more: &[&str]) -> Output {
    let file = folder.join("tried.toml");
    std::fs::write(&file, rules).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sen"));
    command.args(["backtest", "--config"]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config"));
    command.arg("--data").arg(folder).arg("--rules").arg(&file);
    command.args(["--from", "2026-11-23T00:00:00Z", "--to", "2026-11-24T07:00:00+07:00"]);
    command.args(more).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_history_gives_known_counts_and_bad_rules_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path()).await;
    let output = backtest(folder.path(), &rule("at_least = 1.8"), &["--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["raised"], &report["chatter"]), (&13.into(), &3.into()));
    assert_eq!(report["trials"].as_array().map(Vec::len), Some(13));
    let tried = report["rules"].as_array().unwrap().iter().find(|rule| rule["rule"] == "tried");
    let tried = tried.unwrap();
    assert_eq!((&tried["longest_ms"], &tried["added"]), (&100_000.into(), &13.into()));
    assert!(tried["in_force"].is_null(), "{tried}");
    // The rules in force ran beside it over the same readings.
    let others = report["rules"].as_array().unwrap().iter();
    let removed: u64 = others.filter_map(|rule| rule["removed"].as_u64()).sum();
    assert!(removed > 0, "{report}");

    let table = backtest(folder.path(), &rule("at_least = 1.8"), &[]);
    let told = String::from_utf8(table.stdout).unwrap();
    assert!(told.contains("13 alerts, 3 of them chatter"), "{told}");

    let bad = backtest(folder.path(), &rule("at_least = 'much'\nclear = 'less'"), &[]);
    assert_eq!(bad.status.code(), Some(78));
    let told = String::from_utf8(bad.stderr).unwrap();
    assert!(told.contains("at_least") && told.contains("clear"), "{told}");
    assert!(told.contains("2 mistakes to mend; nothing was done"), "{told}");
}
