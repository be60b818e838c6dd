//! Any process of the centre is killed at any moment, again and again: nothing that was acknowledged
//! is lost, no alert is lost or doubled, whoever is to be called is called once about each, and screens
//! are never far behind.

use anyhow::ensure;
use sen_tests::asking::now_ms;
use sen_tests::chance::Chance;
use sen_tests::cluster::{ARCHIVE, ROLES, turn};
use sen_tests::nats::SERVERS;

use crate::audit::audit;
use crate::calls::Called;
use crate::eye::Eye;
use crate::load::Load;
use crate::{centre_calling, endpoints};

/// How often something is killed, unless `SEN_KILLS` says otherwise.
const KILLS: usize = 30;
/// How far behind a screen may be after a fault.
const BEHIND_MOST_MS: i64 = 15_000;

/// A number that the environment may give.
fn given(name: &str, default: u64) -> anyhow::Result<u64> {
    #[expect(clippy::disallowed_methods, reason = "a person asks for more kills, or for the same")]
    let asked = std::env::var(name);
    Ok(match asked {
        Ok(text) => text.parse()?,
        Err(_) => default,
    })
}

/// So many names of parts to kill: every kind comes before any comes again.
fn victims(chance: &mut Chance, count: usize) -> Vec<String> {
    let mut kinds: Vec<&str> = ROLES.into_iter().chain(["nats", ARCHIVE]).collect();
    let mut names = Vec::new();
    while names.len() < count {
        chance.shuffle(&mut kinds);
        for kind in &kinds {
            let instances = match *kind {
                ARCHIVE => 0,
                "nats" => SERVERS.len() as u64,
                _ => 2,
            };
            names.push(match instances {
                0 => ARCHIVE.to_owned(),
                many => format!("{kind}-{}", chance.below(many) + 1),
            });
        }
    }
    names.truncate(count);
    names
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make kills"]
async fn whatever_is_killed_nothing_acknowledged_is_lost() -> anyhow::Result<()> {
    let _turn = turn().await;
    let kills = usize::try_from(given("SEN_KILLS", KILLS as u64)?)?;
    let seed = given("SEN_SEED", now_ms().unsigned_abs())?;
    println!("SEN_SEED={seed} SEN_KILLS={kills}");
    let mut chance = Chance::of(seed);
    let called = Called::begin().await?;
    let mut apart = centre_calling(&called, kills).await?;
    let eye = Eye::open([apart.http(1)?, apart.http(2)?]).await;
    let load = Load::begin(endpoints(&apart)?);
    eye.is_fresh().await;
    eye.was_behind_ms();
    for (number, victim) in victims(&mut chance, kills).into_iter().enumerate() {
        load.more(20 + chance.below(150) as usize).await;
        load.call(number).await?;
        apart.part_mut(&victim)?.kill();
        // Started again at once, or after the others have gone on without it.
        if chance.per_mille(500) {
            eye.is_fresh().await;
            load.more(20 + chance.below(100) as usize).await;
        }
        apart.part_mut(&victim)?.start()?;
        apart.part(&victim)?.well().await;
        eye.is_fresh().await;
        let behind_ms = eye.was_behind_ms();
        println!("{victim}: screens were at most {behind_ms} ms behind");
        ensure!(behind_ms <= BEHIND_MOST_MS, "{victim}: {behind_ms} ms behind");
    }
    load.more(100).await;
    let book = load.end().await?;
    audit(&apart, &book, Some(&eye)).await?;
    called.audit(&apart, kills).await
}
