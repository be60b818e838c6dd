//! Every instance of every role is stopped and started again, one after the other, as an upgrade
//! does it: nobody notices.

use anyhow::ensure;
use sen_tests::cluster::{ROLES, turn};

use crate::audit::audit;
use crate::eye::{Eye, NOTHING};
use crate::load::Load;
use crate::{centre, endpoints};

/// The order of docs/operations.md: the readers before who writes.
const ORDER: [&str; 5] = ["aggregate", "alert", "notify", "gateway", "ingest"];

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_under_load_loses_nothing_and_screens_resume() -> anyhow::Result<()> {
    let _turn = turn().await;
    ensure!(ROLES.iter().all(|role| ORDER.contains(role)), "a role is left out");
    let mut apart = centre().await?;
    let eye = Eye::open([apart.http(1)?, apart.http(2)?]).await;
    let load = Load::begin(endpoints(&apart)?);
    eye.is_fresh().await;
    eye.was_behind_ms();
    for role in ORDER {
        for number in 1..=2 {
            let name = format!("{role}-{number}");
            load.more(30).await;
            let part = apart.part_mut(&name)?;
            let status = tokio::task::block_in_place(|| part.terminate())?;
            ensure!(status.success(), "{name} ended with {status}:\n{}", part.told());
            part.start()?;
            part.well().await;
            eye.is_fresh().await;
            println!("{name}: screens were at most {} ms behind", eye.was_behind_ms());
        }
    }
    {
        // The eye looked at one gateway until that was stopped, then at the other.
        let sight = eye.sight();
        let is_told = |end: &String| end.contains("Restart");
        let told = sight.ends.iter().any(is_told)
            && sight.ends.iter().all(|end| is_told(end) || end == NOTHING);
        ensure!(told, "screens are told to come back: {:?}", sight.ends);
    }
    let book = load.end().await?;
    audit(&apart, &book, Some(&eye)).await
}
