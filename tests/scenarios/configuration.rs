//! Mistakes in the configuration are told all at once, and nothing starts.

use std::process::Command;

use sen_tests::centre::{Centre, binary};

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_is_told_and_the_exit_is_78() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let config = centre.config();
    std::fs::write(config.join("sen.toml"), "[gateway]\nlisen = \"x\"\n\n[gatewy]\n")?;
    let mut rules = std::fs::read_to_string(config.join("rules.toml"))?;
    rules.push_str("\n[[rule]]\nid = \"Nothing Right\"\nseverity = 9\n");
    std::fs::write(config.join("rules.toml"), rules)?;
    std::fs::write(config.join("wall.toml"), "title = 3\n")?;
    std::fs::write(config.join("oncall.toml"), "[[person]]\nid = \"An\"\n")?;

    for command in ["check", "run"] {
        let output = Command::new(binary()).arg(command).arg("--config").arg(&config).output()?;
        let told = String::from_utf8(output.stderr)?;
        assert_eq!(output.status.code(), Some(78), "{command}: {told}");
        for mistake in ["lisen", "gatewy", "rules.toml", "wall.toml", "oncall.toml:2 person[0].id"]
        {
            assert!(told.contains(mistake), "{command} does not tell of {mistake}:\n{told}");
        }
    }
    Ok(())
}

#[test]
fn without_a_login_the_screens_stay_on_this_machine() -> anyhow::Result<()> {
    let output = Command::new(binary())
        .args(["check", "--config"])
        .arg(sen_tests::centre::root().join("config"))
        .env("SEN__GATEWAY__LISTEN", "0.0.0.0:8080")
        .output()?;
    let told = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("insecure_dev"), "the way out is not told: {told}");
    Ok(())
}

#[test]
fn two_centres_cannot_share_one_folder() -> anyhow::Result<()> {
    let centre = Centre::start()?;
    let output = Command::new(binary())
        .args(["run", "--config"])
        .arg(centre.config())
        .arg("--data")
        .arg(centre.storage())
        .env("SEN__GATEWAY__LISTEN", "127.0.0.1:0")
        .env("SEN__INGEST__LISTEN", "127.0.0.1:0")
        .output()?;
    let told = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("in use by another process"), "{told}");
    Ok(())
}
