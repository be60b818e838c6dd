//! A backup of a centre under load, restored elsewhere; and backups that are refused.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use sen_tests::centre::{Centre, binary};
use sen_tests::device::Device;
use sen_tests::wait_for;

use crate::crashes::{DEVICES, Ledger, RESTLESS, all_there_once, name_of, report_until_killed};
use crate::{GAUGE, LEVEL, alerts_of, level_three, now_ms};

/// Event time between two readings of the episode: longer than any duration a rule asks for.
const STEP_MS: i64 = 600_000;
/// Over alarm level III of Mỹ Tho.
const OVER_M: f64 = 1.75;

fn sen(arguments: &[&str], folders: &[(&str, &Path)]) -> anyhow::Result<Output> {
    let mut command = Command::new(binary());
    command.args(arguments);
    for (name, folder) in folders {
        command.arg(name).arg(folder);
    }
    Ok(command.output()?)
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Raises alarm level III and acknowledges it.
async fn an_acknowledged_alert(centre: &Centre) -> anyhow::Result<serde_json::Value> {
    let rule = level_three(centre).await?;
    let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
    for step in 0..3 {
        let at_ms = now_ms() - (3 - step) * STEP_MS;
        device.report(GAUGE, LEVEL, at_ms, OVER_M).await?;
    }
    let id = wait_for("the alert", async || {
        let alerts = alerts_of(centre, &rule).await.ok()?;
        Some(alerts.first()?["id"].as_str()?.to_owned())
    })
    .await;
    let (status, _) = centre.acknowledge(&id, "trực ban", None, "once").await?;
    assert_eq!(status, 200);
    Ok(wait_for("the acknowledgement", async || {
        let alert = centre.get(&format!("/alerts/{id}")).await.ok()?;
        (alert["state"] == "acknowledged").then_some(alert)
    })
    .await)
}

/// What was acknowledged, once it is so much.
async fn acknowledged(ledger: &Mutex<Ledger>, least: usize) -> [BTreeSet<i64>; DEVICES] {
    wait_for("acknowledgements", async || {
        let ledger = ledger.lock().expect("no poison");
        (ledger.total() >= least).then(|| ledger.acknowledged.clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_goes_on_elsewhere() -> anyhow::Result<()> {
    let mut centre = Centre::with(&RESTLESS, &[])?;
    let alert = an_acknowledged_alert(&centre).await?;
    let begun_ms = now_ms() - 3_600_000;
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut devices = tokio::task::JoinSet::new();
    for number in 0..DEVICES {
        devices.spawn(report_until_killed(centre.mqtt_port(), number, begun_ms, ledger.clone()));
    }
    acknowledged(&ledger, 1_000).await;
    let before = acknowledged(&ledger, 2_000).await;

    let elsewhere = tempfile::tempdir()?;
    let (copy, restored) = (elsewhere.path().join("copy"), elsewhere.path().join("data"));
    let (config, storage) = (centre.config(), centre.storage().to_owned());
    let folders = [("--config", &*config), ("--data", &*storage), ("--to", &*copy)];
    let backup = sen(&["backup"], &folders)?;
    assert!(backup.status.success(), "{}", told(&backup));
    // The centre goes on all the while and afterwards.
    let total = ledger.lock().expect("no poison").total();
    acknowledged(&ledger, total + 200).await;
    centre.kill();
    while devices.join_next().await.is_some() {}

    let restore = sen(&["restore"], &[("--from", &copy), ("--data", &restored)])?;
    assert!(restore.status.success(), "{}", told(&restore));
    let key = |folder: &Path| std::fs::read(folder.join("keys/link.key"));
    assert_eq!(key(&restored)?, key(&storage)?, "links that are out still work");
    let centre = Centre::on(restored.clone(), &RESTLESS)?;
    // It takes new readings; this one is stored after everything that the log held.
    let mut device = Device::connect("later", centre.mqtt_port()).await?;
    device.report("later", LEVEL, now_ms(), 1.0).await?;
    wait_for("a new reading", async || {
        let path = format!("/series/later/{LEVEL}/readings");
        (centre.all(&path).await.ok()?.len() == 1).then_some(())
    })
    .await;
    for (number, before) in before.iter().enumerate() {
        let sent = ledger.lock().expect("no poison").sent[number];
        all_there_once(&centre, &name_of(number), begun_ms, sent, before).await?;
    }
    let path = format!("/alerts/{}", alert["id"].as_str().expect("an id"));
    let there = wait_for("the alert", async || centre.get(&path).await.ok()).await;
    assert_eq!(there, alert);
    let again = sen(&["restore"], &[("--from", &copy), ("--data", &restored)])?;
    assert_eq!(again.status.code(), Some(1));
    assert!(told(&again).contains("is not empty"), "{}", told(&again));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_or_unfinished_backup_is_refused_and_leaves_nothing() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let mut device = Device::connect(GAUGE, centre.mqtt_port()).await?;
    device.report(GAUGE, LEVEL, now_ms(), 1.0).await?;
    let elsewhere = tempfile::tempdir()?;
    let (copy, restored) = (elsewhere.path().join("copy"), elsewhere.path().join("data"));
    let (config, storage) = (centre.config(), centre.storage().to_owned());
    let folders = [("--config", &*config), ("--data", &*storage), ("--to", &*copy)];
    let backup = sen(&["backup"], &folders)?;
    assert!(backup.status.success(), "{}", told(&backup));
    let twice = sen(&["backup"], &folders)?;
    assert_eq!(twice.status.code(), Some(1));
    assert!(told(&twice).contains("is not empty"), "{}", told(&twice));

    let refused = |why: &str| -> anyhow::Result<()> {
        let restore = sen(&["restore"], &[("--from", &copy), ("--data", &restored)])?;
        assert_eq!(restore.status.code(), Some(1), "{why}");
        assert!(told(&restore).contains(why), "{}", told(&restore));
        assert!(!restored.exists());
        Ok(())
    };
    let file = copy.join("data/store/sen.db");
    let whole = std::fs::read(&file)?;
    let mut bent = whole.clone();
    let middle = bent.len() / 2;
    bent[middle] ^= 1;
    std::fs::write(&file, bent)?;
    refused("data/store/sen.db: its checksum differs")?;
    std::fs::write(&file, &whole[..middle])?;
    refused("bytes in place of")?;
    std::fs::write(&file, whole)?;
    std::fs::remove_file(copy.join("manifest.json"))?;
    refused("is no finished backup")?;
    Ok(())
}
