//! The configuration in the cluster: given to it once, taken by every role, and its rules are in force
//! as soon as they are given again.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, ensure};
use sen_tests::asking::{alerts_of, now_ms};
use sen_tests::centre::{append, binary, copy, root};
use sen_tests::cluster::{Apart, ROLES, Shape, turn};
use sen_tests::compose::Variables;
use sen_tests::device::Device;
use sen_tests::judging::rule_text;
use sen_tests::trial::{add, names};
use sen_tests::wait_for;

/// `sen config push` of a folder, as a role would reach the servers.
fn push(apart: &Apart, folder: &Path) -> anyhow::Result<Output> {
    let mut command = Command::new(binary());
    command.args(["config", "push", "--config"]).arg(folder);
    Ok(command.envs(apart.part("gateway-1")?.variables()).output()?)
}

fn rule(id: &str) -> String {
    rule_text(id, "metrics = [\"trial\"]\nseverity = 2\nat_least = 10\nclear = 5")
}

/// Waits for the alert of a rule about the trial device, which says something high now and then.
async fn is_raised(apart: &Apart, rule: &str) -> anyhow::Result<()> {
    let address = apart.mqtt(1)?;
    let port = address.rsplit(':').next().context("host:port")?.parse()?;
    let mut device = Device::connect("gateway-1", port).await?;
    let api = apart.api(1)?;
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(500));
    let begun_ms = now_ms();
    while alerts_of(&api, rule).await?.is_empty() {
        ensure!(now_ms() - begun_ms < sen_tests::PATIENCE.as_millis() as i64, "no {rule}");
        pause.tick().await;
        device.report("trial-0", "trial", now_ms(), 12.0).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_to_the_cluster_is_taken_by_every_role() -> anyhow::Result<()> {
    let _turn = turn().await;
    let shape = Shape { instances: 1, broker: false, variables: Variables::new() };
    let mut apart = Apart::prepare(&shape)?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("config");
    copy(&root().join("config"), &config)?;
    add(&config, &names("trial", 1), 600_000, &[rule("trial")])?;
    apart.start_servers().await?;

    // One with a mistake is not given to anybody.
    let broken = folder.path().join("broken");
    copy(&config, &broken)?;
    append(&broken, "rules.toml", "[[rule]]\nid = \"Nothing Right\"\n")?;
    let output = push(&apart, &broken)?;
    ensure!(output.status.code() == Some(78), "{}", String::from_utf8_lossy(&output.stderr));
    let output = push(&apart, &config)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    // No role has files of its own.
    apart.configure(|config| Ok(std::fs::remove_dir_all(config)?))?;
    for role in ROLES {
        apart.part_mut(&format!("{role}-1"))?.replace_argument("/etc/sen", "nats:")?;
    }
    apart.start_roles().await?;
    is_raised(&apart, "trial").await?;

    // While they run: no restart, and no file by hand.
    append(&config, "rules.toml", &rule("second"))?;
    let output = push(&apart, &config)?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let api = apart.api(1)?;
    wait_for("the gateway to tell of the new rule", async || {
        let rules = api.all("/rules").await.ok()?;
        rules.iter().any(|rule| rule["id"] == "second").then_some(())
    })
    .await;
    is_raised(&apart, "second").await?;

    // Who is started later has what was given last.
    for role in ROLES {
        apart.part_mut(&format!("{role}-1"))?.kill();
    }
    apart.start_roles().await?;
    wait_for("the rule after a restart", async || {
        let rules = api.all("/rules").await.ok()?;
        rules.iter().any(|rule| rule["id"] == "second").then_some(())
    })
    .await;
    Ok(())
}
