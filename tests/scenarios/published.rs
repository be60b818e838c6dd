//! Readings leave as files by schedule, for the public.

use std::path::Path;
use std::process::Command;

use sen_model::Timestamp;
use sen_model::time::DAY_MS;
use sen_store::{Config, Store};
use sen_tests::centre::{Centre, binary};
use sen_tests::device::Device;
use sen_tests::wait_for;
use serde_json::Value;

use crate::exports::{CAMERA, PROMPT, export};
use crate::{GAUGE, LEVEL, now_ms};

/// An id that a stranger chose, and that tells of somebody.
const STRANGER: &str = "nguyen-van-a-0912345678";

const OPEN: &str = r#"
[[export]]
id = "everything-open"
title = { vi = "Dữ liệu mở", en = "Open data" }
licence = "CC BY 4.0"
source = "Đồng Tháp"
tier = "raw"
format = "csv"
every = "1d"
at = "00:00"
keep = 3
folder = "open-data"
"#;

/// Leaves a store that was there before yesterday: what was before a store is not published.
async fn begun_a_week_ago(storage: &Path) -> anyhow::Result<()> {
    let store = Store::open(storage.join("store"), Config::default())?;
    Ok(store.retain(Timestamp::from_millis(now_ms() - 7 * DAY_MS)).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn yesterday_is_published_with_its_licence_and_without_anybody_in_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    begun_a_week_ago(folder.path()).await?;
    let mut centre = Centre::on(folder.path().to_owned(), &PROMPT)?;
    let mut device = Device::connect("exports", centre.mqtt_port()).await?;
    let yesterday = now_ms() - DAY_MS;
    device.report(GAUGE, LEVEL, yesterday, 1.25).await?;
    // Just after midnight yesterday is not published yet: the day before is the first then.
    device.report(GAUGE, LEVEL, yesterday - DAY_MS, 1.25).await?;
    device.report(GAUGE, "phone-0912345678", yesterday, 1.0).await?;
    device.report(CAMERA, "people_count", yesterday, 3.0).await?;
    device.report(STRANGER, LEVEL, yesterday, 1.0).await?;
    wait_for("the operator to see the stranger's reading", async || {
        let output = export(&centre, &["--out", "-", "--format", "csv"]).ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let all = [GAUGE, "phone-0912345678", CAMERA, STRANGER];
        all.iter().all(|name| text.contains(name)).then_some(())
    })
    .await;

    let exports = centre.config().join("exports.toml");
    std::fs::write(&exports, OPEN.replace("licence = \"CC BY 4.0\"\n", "kinds = [\"camera\"]\n"))?;
    let check =
        Command::new(binary()).arg("check").arg("--config").arg(centre.config()).output()?;
    let told = String::from_utf8(check.stderr)?;
    assert_eq!(check.status.code(), Some(78), "{told}");
    for part in ["exports.toml:2", "licence", "kind `camera` is not open"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    std::fs::write(&exports, OPEN)?;
    centre.restart()?;

    let folder = centre.storage().join("open-data/everything-open");
    let package = wait_for("the description", async || {
        let bytes = std::fs::read(folder.join("datapackage.json")).ok()?;
        serde_json::from_slice::<Value>(&bytes).ok()
    })
    .await;
    let file = package["resources"][0]["path"].as_str().expect("a file has a path");
    let text = std::fs::read_to_string(folder.join(file))?;
    assert!(text.starts_with("# licence: CC BY 4.0\r\n"), "{text}");
    assert!(text.contains(&format!("{GAUGE},")), "{text}");
    assert_eq!(package["licenses"][0]["name"], "CC BY 4.0");
    for hidden in [CAMERA, STRANGER, "0912345678"] {
        assert!(!text.contains(hidden) && !package.to_string().contains(hidden), "{hidden}");
    }
    Ok(())
}
