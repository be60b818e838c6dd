//! Readings leave as files by hand, beside a running centre.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use parquet::file::reader::SerializedFileReader;
use parquet::record::RowAccessor;
use sen_model::Timestamp;
use sen_model::time::MINUTE_MS;
use sen_tests::centre::binary;
use sen_tests::device::Device;
use sen_tests::wait_for;
use serde_json::Value;

use crate::{Centre, GAUGE, LEVEL, now_ms, query_time, stored};

/// What is written is in the store at once, or nearly.
pub(crate) const PROMPT: [(&str, &str); 1] = [("SEN__AGGREGATE__COMMIT_INTERVAL_MS", "100")];
pub(crate) const CAMERA: &str = "cam-cho-my-tho";

/// What `sen export` says beside this centre.
pub(crate) fn export(centre: &Centre, arguments: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(binary());
    command.args(["export", "--config"]).arg(centre.config());
    Ok(command.arg("--data").arg(centre.storage()).args(arguments).output()?)
}

/// The gauge's readings as (time, value, quality): of the API, which is the measure.
fn said(items: &[Value]) -> Vec<(String, f64, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let reading = |item: &Value| {
        (
            text(&item["event_time"]),
            item["value"].as_f64().unwrap_or(f64::NAN),
            text(&item["quality"]),
        )
    };
    items.iter().map(reading).collect()
}

fn of_csv(path: &Path) -> anyhow::Result<Vec<(String, f64, String)>> {
    let text = std::fs::read_to_string(path)?;
    // None of the gauge's names has a comma or a quote.
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!((cells[0], cells[3], cells[7], cells[8]), (GAUGE, "28261", LEVEL, "m"));
        Ok((cells[9].to_owned(), cells[10].parse()?, cells[11].to_owned()))
    };
    text.lines().skip(1).map(row).collect()
}

fn of_ndjson(path: &Path) -> anyhow::Result<Vec<(String, f64, String)>> {
    let text = std::fs::read_to_string(path)?;
    let mut items = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    for item in &mut items {
        assert_eq!((&item["device"], &item["field"]), (&GAUGE.into(), &"environment".into()));
        item["event_time"] = item["time"].take();
    }
    Ok(said(&items))
}

fn of_parquet(path: &Path) -> anyhow::Result<Vec<(String, f64, String)>> {
    let reader = SerializedFileReader::new(std::fs::File::open(path)?)?;
    let row = |row: Result<parquet::record::Row, _>| -> anyhow::Result<_> {
        let row = row?;
        let time = Timestamp::from_millis(row.get_timestamp_millis(9)?);
        Ok((time.to_string(), row.get_double(10)?, row.get_string(11)?.clone()))
    };
    reader.into_iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_beside_a_running_centre_says_what_the_api_says() -> anyhow::Result<()> {
    let centre = Centre::with(&PROMPT, &[])?;
    let mut device = Device::connect("exports", centre.mqtt_port()).await?;
    let from = now_ms() - 10 * MINUTE_MS;
    for at in 0..200 {
        // Some of them beyond what is plausible. Sixty-fourths are exact in text, too: what reads
        // JSON here may be off by the last bit of others.
        let value = if at % 50 == 7 { 99.0 } else { 1.0 + f64::from(at) / 64.0 };
        device.report(GAUGE, LEVEL, from + i64::from(at) * 1_000, value).await?;
    }
    device.report(CAMERA, "people_count", from, 3.0).await?;
    let to = from + 5 * MINUTE_MS;
    let measure = wait_for("the API to have them all", async || {
        let items = stored(&centre, GAUGE, LEVEL, from, to).await.ok()?;
        (items.len() == 200).then(|| said(&items))
    })
    .await;
    assert!(measure.iter().any(|(.., quality)| quality == "suspect"));

    let folder = tempfile::tempdir()?;
    type Read = fn(&Path) -> anyhow::Result<Vec<(String, f64, String)>>;
    let formats: [(&str, Read); 3] =
        [("csv", of_csv), ("ndjson", of_ndjson), ("parquet", of_parquet)];
    for (format, read) in formats {
        let path = folder.path().join(format!("out.{format}"));
        let out = path.to_str().expect("a temporary folder has a plain name");
        let span = [query(from), query(to)];
        let arguments = [
            "--out", out, "--area", "28261", "--metric", LEVEL, "--from", &span[0], "--to",
            &span[1],
        ];
        wait_for("the export to be what the API says", async || {
            let output = export(&centre, &arguments).ok()?;
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && told.contains("complete: "), "{told}");
            (read(&path).ok()? == measure).then_some(())
        })
        .await;
    }
    a_reader_that_leaves_is_no_failure(&centre)?;
    let minutes = summaries_agree(&centre, from, to).await?;
    assert!(minutes >= 3, "{minutes}");
    Ok(())
}

fn a_reader_that_leaves_is_no_failure(centre: &Centre) -> anyhow::Result<()> {
    let mut command = Command::new(binary());
    command.args(["export", "--out", "-", "--format", "csv", "--config"]).arg(centre.config());
    command.arg("--data").arg(centre.storage());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    let told = String::from_utf8(output.stderr)?;
    assert!(output.status.success() && !told.contains("complete"), "{told}");
    Ok(())
}

fn query(ms: i64) -> String {
    Timestamp::from_millis(ms).to_string()
}

/// Compares the minutes on standard output with those of the API, and tells how many there are.
async fn summaries_agree(centre: &Centre, from: i64, to: i64) -> anyhow::Result<usize> {
    // Whole minutes, so that both mean the same windows.
    let (from, to) = (from - from.rem_euclid(MINUTE_MS), to - to.rem_euclid(MINUTE_MS));
    let span = [query(from), query(to)];
    let arguments = [
        "--out", "-", "--format", "ndjson", "--tier", "1m", "--device", GAUGE, "--from", &span[0],
        "--to", &span[1],
    ];
    let path = format!(
        "/series/{GAUGE}/{LEVEL}/summaries?from={}&to={}",
        query_time(from),
        query_time(to)
    );
    let count = wait_for("the summaries to be what the API says", async || {
        let measure = centre.all(&path).await.ok()?;
        let output = export(centre, &arguments).ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).ok()?;
        let rows: Vec<Value> =
            text.lines().map(serde_json::from_str).collect::<Result<_, _>>().ok()?;
        let same = |(row, item): (&Value, &Value)| {
            let keys = ["count", "good_count", "mean", "min", "max", "first", "last", "p50", "p95"];
            row["time"] == item["start"] && keys.iter().all(|key| row[key] == item[key])
        };
        let agree = rows.len() == measure.len() && rows.iter().zip(&measure).all(same);
        (agree && !rows.is_empty()).then_some(rows.len())
    })
    .await;
    Ok(count)
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_in_the_arguments_are_told_at_once_and_nothing_is_written() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("out.csv");
    let out = path.to_str().expect("a temporary folder has a plain name");
    let names = ["--area", "28216", "--metric", "water_level", "--device", "stn-my-thoo"];
    let output = export(&centre, &[&["--out", out][..], &names].concat())?;
    let told = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(78), "{told}");
    for near in ["28261 (Phường Mỹ Tho)", "water_level_m", "stn-my-tho"] {
        assert!(told.contains(near), "{near}: {told}");
    }
    let output = export(&centre, &["--tier", "2h", "--from", "yesterday"])?;
    let told = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(78), "{told}");
    for key in ["--out", "--format", "--tier", "--from"] {
        assert!(told.contains(key), "{key}: {told}");
    }
    assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);

    let output = Command::new(binary())
        .args(["export", "--out", out, "--config"])
        .arg(centre.config())
        .arg("--data")
        .arg(folder.path().join("nowhere"))
        .output()?;
    let told = String::from_utf8(output.stderr)?;
    assert!(output.status.code() == Some(1) && told.contains("--data"), "{told}");
    Ok(())
}
