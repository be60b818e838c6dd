//! A day of the simulated province before the shipped rules: the alerts are exactly those of the
//! oracle, whatever happens on the way.

use anyhow::ensure;
use sen_model::{AlertRecord, Condition, ReadingBatch, Rule, Standing, Timestamp};
use sen_tests::chance::Chance;
use sen_tests::day::{BEGIN_MS, DAY, END_MS};
use sen_tests::judging::{
    Judging, Setting, by_rule, episodes, must_agree, parsed, reports_of, section, shipped,
};
use sen_tests::oracle::Oracle;
use sen_tests::oracle::alerts::{Episode, of_readings, of_silence};

/// How often the service looks at the clock, and how far that goes each time: less than what it
/// takes for a jump.
const TICK_MS: i64 = 5;
const LOOK_EVERY_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;
/// How far packets overtake each other, several of one device at a time; and how long the service
/// waits for readings that were measured before others.
const JITTER_MS: u64 = 30_000;
const WAIT_MS: i64 = 40_000;
const CRASHES: usize = 10;

/// The shipped rules that the oracle has an answer for: those over readings and silence.
fn rules() -> (String, Vec<Rule>) {
    let all = parsed(&shipped("rules.toml"), &DAY.registry);
    let answered = |rule: &&Rule| {
        let is_answered = !matches!(
            rule.condition,
            Condition::Expression { .. }
                | Condition::Composite { .. }
                | Condition::Neighbours { .. }
                | Condition::Sequence { .. }
                | Condition::Events { .. }
        );
        is_answered && rule.standing == Standing::InForce
    };
    let kept: Vec<Rule> = all.iter().filter(answered).cloned().collect();
    let text = shipped("rules.toml");
    let mut chunks = text.split("\n[[rule]]");
    let mut answerable = chunks.next().unwrap().to_owned();
    for chunk in chunks {
        let id = |rule: &Rule| chunk.contains(&format!("\nid = \"{}\"\n", rule.id));
        if kept.iter().any(id) {
            answerable.extend(["\n[[rule]]", chunk]);
        }
    }
    assert_eq!(parsed(&answerable, &DAY.registry), kept);
    (answerable, kept)
}

fn setting(others: &[(&str, i64)]) -> Setting {
    let config = section(&[&[("tick_ms", TICK_MS)], others].concat());
    Setting { rules: rules().0, registry: DAY.registry.clone(), now_ms: BEGIN_MS, config }
}

/// What the oracle makes of packets, but for silence.
fn expected(packets: &[ReadingBatch], until_ms: i64) -> Vec<Episode> {
    of_readings(&rules().1, &DAY.registry, &Oracle::of(reports_of(packets)), until_ms)
}

/// Everything is judged, however late it comes, with crashes at random; then the clock is set to
/// when the day is long over. Nothing is silent meanwhile: the clock does not go on.
async fn replayed(
    setting: Setting,
    packets: &[ReadingBatch],
    crashes: usize,
) -> anyhow::Result<(Vec<AlertRecord>, i64)> {
    let over_ms = END_MS + 2 * HOUR_MS;
    let looked_ms = over_ms - setting.config.late_after_ms;
    let mut judging = Judging::in_memory(setting)?;
    let mut chance = Chance::of(10);
    let mut left = packets;
    for crash in 0..crashes {
        let block = 2 * packets.len() as u64 / crashes as u64;
        let (now, later) = left.split_at((chance.below(block) as usize).min(left.len()));
        left = later;
        judging.append(now).await?;
        // When all is judged, or while it is at work.
        if crash % 2 == 0 {
            judging.judged().await?;
        }
        judging = judging.crash().await?;
    }
    judging.append(left).await?;
    judging.judged().await?;
    judging.look(over_ms).await?;
    Ok((judging.finish().await?, looked_ms))
}

fn told_of(name: &str, episodes: &[Episode]) {
    println!("{name}: {} episodes agree: {:?}", episodes.len(), by_rule(episodes));
}

#[tokio::test(flavor = "multi_thread")]
async fn heard_as_it_comes_it_gives_the_alerts_of_the_oracle_and_the_silences() -> anyhow::Result<()>
{
    // The hours about the power cut, by a clock that goes by.
    let (begin_ms, end_ms) = (BEGIN_MS + 14 * HOUR_MS + HOUR_MS / 2, BEGIN_MS + 16 * HOUR_MS);
    let setting = Setting { now_ms: begin_ms, ..setting(&[]) };
    let late_after_ms = setting.config.late_after_ms;
    let mut judging = Judging::in_memory(setting)?;
    let until =
        |at_ms: i64| DAY.packets.partition_point(|packet| packet.received_at.as_millis() <= at_ms);
    let heard = &DAY.packets[until(begin_ms)..until(end_ms)];
    let looks: Vec<i64> =
        (1..).map(|n| begin_ms + n * LOOK_EVERY_MS).take_while(|at| *at <= end_ms).collect();
    let mut from = until(begin_ms);
    for look_ms in &looks {
        judging.append(&DAY.packets[from..until(*look_ms)]).await?;
        from = until(*look_ms);
        judging.judged().await?;
        judging.look(*look_ms).await?;
    }
    let records = judging.finish().await?;
    let times: Vec<_> = heard
        .iter()
        .map(|packet| (packet.device.clone(), packet.received_at.as_millis()))
        .collect();
    let mut expected = expected(heard, end_ms - late_after_ms);
    expected.extend(of_silence(&rules().1, &DAY.registry, &times, begin_ms, &looks));
    expected.sort();
    let told = episodes(&records)?;
    must_agree(&told, &expected)?;
    let is_over = |episode: &&Episode| episode.metric.is_none() && episode.end_ms.is_some();
    ensure!(told.iter().filter(is_over).count() > 1, "the power cut silenced nobody: {told:#?}");
    told_of("as it comes", &told);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_any_order_within_the_wait_and_said_twice_it_gives_the_same() -> anyhow::Result<()> {
    let mut chance = Chance::of(23);
    // Each packet is on its way for up to half a minute, and one in five goes that way twice.
    let mut arriving: Vec<(i64, &ReadingBatch)> = Vec::new();
    for packet in &DAY.packets {
        let newest = packet.readings.iter().map(|reading| reading.event_time.as_millis()).max();
        let sent_ms = newest.unwrap_or_default();
        let mut delay = || sent_ms + chance.below(JITTER_MS) as i64;
        arriving.extend([(delay(), packet), (delay(), packet)]);
        if !chance.per_mille(200) {
            arriving.pop();
        }
    }
    arriving.sort_by_key(|(at, _)| *at);
    let packets: Vec<ReadingBatch> =
        arriving.into_iter().map(|(_, packet)| packet.clone()).collect();
    let setting = setting(&[("wait_ms", WAIT_MS)]);
    let (records, looked_ms) = replayed(setting, &packets, 0).await?;
    let told = episodes(&records)?;
    must_agree(&told, &expected(&DAY.packets, looked_ms))?;
    told_of("shuffled, one in five twice", &told);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn said_again_up_to_an_hour_later_it_gives_the_same() -> anyhow::Result<()> {
    let mut chance = Chance::of(32);
    let mut arriving: Vec<(i64, &ReadingBatch)> = Vec::new();
    for packet in &DAY.packets {
        let received_ms = packet.received_at.as_millis();
        arriving.push((received_ms, packet));
        if chance.per_mille(300) {
            arriving.push((received_ms + chance.below(HOUR_MS.unsigned_abs()) as i64, packet));
        }
    }
    arriving.sort_by_key(|(at, _)| *at);
    let packets: Vec<ReadingBatch> =
        arriving.into_iter().map(|(_, packet)| packet.clone()).collect();
    let (records, looked_ms) = replayed(setting(&[]), &packets, 0).await?;
    let told = episodes(&records)?;
    must_agree(&told, &expected(&DAY.packets, looked_ms))?;
    told_of("three in ten twice", &told);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_hour_late_it_gives_the_same_marked_late() -> anyhow::Result<()> {
    let late = |packet: &ReadingBatch| ReadingBatch {
        received_at: Timestamp::from_millis(packet.received_at.as_millis() + HOUR_MS),
        ..packet.clone()
    };
    let packets: Vec<ReadingBatch> = DAY.packets.iter().map(late).collect();
    let (records, looked_ms) = replayed(setting(&[]), &packets, 0).await?;
    let told = episodes(&records)?;
    must_agree(&told, &expected(&DAY.packets, looked_ms))?;
    ensure!(records.iter().all(|record| record.late), "some is not marked late");
    told_of("an hour late", &told);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_ten_crashes_it_gives_the_same() -> anyhow::Result<()> {
    let setting = setting(&[("checkpoint_interval_ms", 500)]);
    let (records, looked_ms) = replayed(setting, &DAY.packets, CRASHES).await?;
    let told = episodes(&records)?;
    must_agree(&told, &expected(&DAY.packets, looked_ms))?;
    ensure!(records.iter().all(|record| !record.late), "what came in time is marked late");
    for (what, rule) in [("flood", "flood-"), ("salt", "salinity"), ("jam", "traffic-")] {
        let count = told.iter().filter(|one| one.rule.as_str().starts_with(rule)).count();
        ensure!(count > 0, "no {what} all day: the day proves nothing");
    }
    told_of("ten crashes", &told);
    Ok(())
}
