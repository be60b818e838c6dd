//! Against a recorded contract of InfluxDB 2's HTTP API, after its public documentation. A test
//! against a real server stands at the end; it needs one.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sen_archive::{Archive, ArchiveError, Config, MOST_REFUSED, Row, Token};
use sen_model::{DeviceId, Metric, Moment, Partial, Quality, SeriesKey, Tier, Timestamp};
use sen_ports::Port;
use sen_store::{Point, Span, Summary};

#[path = "influx/contract.rs"]
mod contract;

use contract::Replay;

fn archive(replay: &Replay, retention_days: Option<u32>) -> Archive {
    archive_at(replay.address, retention_days)
}

fn archive_at(address: SocketAddr, retention_days: Option<u32>) -> Archive {
    let location = format!("influxdb+http://{address}/?org=so&bucket=sen");
    let location = location.parse().unwrap();
    let token = Token::new("secret");
    let config = Config { location, token, retention_days };
    Archive::with_timeout(config, Duration::from_secs(60)).unwrap()
}

fn key() -> SeriesKey {
    SeriesKey { device: DeviceId::new("stn-01").unwrap(), metric: Metric::new("level_m").unwrap() }
}

fn point(number: u32) -> Point {
    let event_time = Timestamp::from_millis(1_700_000_000_000);
    Point {
        event_time,
        sequence: number,
        value: f64::from(number) + 0.5,
        quality: Quality::Suspect,
        received_at: event_time.plus_ms(250),
    }
}

fn summary() -> Summary {
    let start = Timestamp::from_millis(1_699_999_980_000);
    let mut partial = Partial::default();
    for number in 0..3 {
        let moment = Moment {
            event_time: start.plus_ms(i64::from(number) * 7),
            sequence: number,
            value: 1.1 * f64::from(number),
        };
        partial.add(moment, Quality::Good);
    }
    Summary { start, tier: Tier::Minute, partial }
}

fn rows(count: u32) -> Vec<Row> {
    (0..count).map(|number| Row::Reading(key(), point(number))).collect()
}

#[tokio::test]
async fn a_missing_bucket_is_made() {
    let replay = Replay::of("bucket-created");
    let prepared = archive(&replay, Some(365)).prepare().await.unwrap();
    assert_eq!(prepared.version.as_deref(), Some("v2.7.12"));
    assert!(prepared.warnings[0].contains("has been made"), "{prepared:?}");
    replay.end();
}

#[tokio::test]
async fn a_retention_that_differs_is_corrected_only_where_one_is_wanted() {
    let replay = Replay::of("retention-patched");
    let prepared = archive(&replay, Some(365)).prepare().await.unwrap();
    assert!(prepared.warnings[0].contains("now for 31536000 s"), "{prepared:?}");
    replay.end();
    let replay = Replay::of("bucket-found");
    assert!(archive(&replay, None).prepare().await.unwrap().warnings.is_empty());
    replay.end();
}

#[tokio::test]
async fn what_is_wrong_at_start_is_said() {
    for (name, retryable, part) in [
        ("unhealthy", true, "unable to open boltdb"),
        ("organisation-missing", false, "organization name \"so\" not found"),
        ("health-unauthorized", false, "token"),
    ] {
        let replay = Replay::of(name);
        let error = archive(&replay, None).prepare().await.unwrap_err();
        assert_eq!(error.is_retryable(), retryable, "{name}");
        assert!(error.to_string().contains(part), "{name}: {error}");
        replay.end();
    }
}

#[tokio::test]
async fn rows_are_written_compressed_in_nanoseconds() {
    let replay = Replay::of("write");
    let mut rows = rows(2);
    rows.push(Row::Summary(key(), summary()));
    let written = archive(&replay, None).write(&rows).await.unwrap();
    assert!(written.refused.is_empty());
    replay.end();
}

#[tokio::test]
async fn a_refused_batch_costs_its_culprit() {
    for (name, part) in
        [("write-malformed", "unable to parse"), ("write-conflict", "field type conflict")]
    {
        let replay = Replay::of(name);
        let written = archive(&replay, None).write(&rows(4)).await.unwrap();
        let [refused] = written.refused.as_slice() else { panic!("{written:?}") };
        assert_eq!(refused.row, 2, "{name}");
        assert!(refused.reason.contains(part), "{name}: {refused:?}");
        replay.end();
    }
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_split() {
    let replay = Replay::of("write-too-large");
    let written = archive(&replay, None).write(&rows(4)).await.unwrap();
    assert!(written.refused.is_empty());
    replay.end();
}

#[tokio::test]
async fn every_other_status_says_what_to_do() {
    for (name, retryable, wait_s, part) in [
        ("write-unauthorized", false, None, "store.archive_token_file"),
        ("write-forbidden", false, None, "needs read and write"),
        ("write-bucket-missing", false, None, "bucket \"sen\" not found"),
        ("write-limited", true, Some(7), "asks to wait 7 s"),
        ("write-unavailable", true, Some(11), "asks to wait 11 s"),
        ("write-internal", true, None, "internal error"),
    ] {
        let replay = Replay::of(name);
        let error = archive(&replay, None).write(&rows(1)).await.unwrap_err();
        assert_eq!(error.is_retryable(), retryable, "{name}");
        assert_eq!(error.retry_after(), wait_s.map(Duration::from_secs), "{name}");
        assert!(error.to_string().contains(part), "{name}: {error}");
        replay.end();
    }
}

#[tokio::test]
async fn readings_and_summaries_are_read_back() {
    let replay = Replay::of("read");
    let archive = archive(&replay, None);
    let from = Timestamp::from_millis(1_700_000_000_000);
    let span = Span { from, to: from.plus_ms(60_000) };
    assert_eq!(archive.points(&key(), span, 10).await.unwrap(), [point(0), point(1)]);
    assert_eq!(archive.latest(&[key()]).await.unwrap(), [Some(point(1))]);
    assert_eq!(archive.series().await.unwrap(), [key()]);
    let wanted = summary();
    let found = archive.summaries(&key(), Tier::Minute, Span::ALL, 10).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].partial.as_ref(), Some(&wanted.partial));
    assert_eq!(
        (found[0].start, found[0].count, found[0].mean),
        (wanted.start, 3, wanted.partial.mean())
    );
    replay.end();
}

#[tokio::test]
async fn long_reads_go_page_by_page_and_look_at_each_point_a_few_times() {
    // A dense day, a gap of years, one millisecond with many sequences, and a late straggler.
    let day = (0..45_000).map(|number| (1_600_000_000_000 + number * 2_000, 0));
    let instant = (0..25_000).map(|sequence| (1_700_000_000_000, sequence));
    let times: Vec<_> = day.chain(instant).chain([(1_900_000_000_000, 7)]).collect();
    let points: Vec<_> = times
        .into_iter()
        .map(|(ms, sequence)| Point { event_time: Timestamp::from_millis(ms), ..point(sequence) })
        .collect();
    let row = |point: &Point| {
        let time_ns = point.event_time.as_millis() * 1_000_000 + i64::from(point.sequence);
        let time = jiff::Timestamp::from_nanosecond(time_ns.into()).unwrap();
        let (value, received_at) = (point.value, point.received_at.as_millis());
        (time_ns, format!(",_result,0,{time},{value},1,{received_at}"))
    };
    let seen = Arc::default();
    let archive =
        archive_at(Replay::points(points.iter().map(row).collect(), Arc::clone(&seen)), None);
    let found = archive.points(&key(), Span::ALL, usize::MAX).await.unwrap();
    assert!(found == points, "{} of {}", found.len(), points.len());
    let looked = std::mem::take(&mut *seen.lock().unwrap());
    assert!(looked < 4 * points.len(), "{looked}");
    assert!(archive.points(&key(), Span::ALL, 25_001).await.unwrap() == points[..25_001]);
    let few = archive.points_downsampled(&key(), Span::ALL, 100).await.unwrap();
    assert!((2..=100).contains(&few.len()) && few.iter().all(|one| points.contains(one)));
    let all = archive.points_downsampled(&key(), Span::ALL, 99_999).await.unwrap();
    assert!(all == points, "{} of {}", all.len(), points.len());
}

#[tokio::test]
async fn a_query_that_fails_in_the_midst_of_its_answer_fails() {
    for (name, part) in
        [("query-failed-midway", "out of memory"), ("query-refused", "undefined identifier")]
    {
        let replay = Replay::of(name);
        let error = archive(&replay, None).series().await.unwrap_err();
        assert!(error.to_string().contains(part), "{name}: {error}");
        replay.end();
    }
}

#[tokio::test]
async fn a_server_that_refuses_everything_ends_the_write() {
    let address = Replay::always(400, br#"{"code":"invalid","message":"no"}"#.to_vec());
    let archive = archive_at(address, None);
    let few = archive.write(&rows(MOST_REFUSED as u32)).await.unwrap();
    assert_eq!(
        few.refused.iter().map(|one| one.row).collect::<Vec<_>>(),
        (0..MOST_REFUSED).collect::<Vec<_>>()
    );
    let error = archive.write(&rows(100)).await.unwrap_err();
    assert!(
        matches!(error, ArchiveError::TooManyRefused { .. }) && !error.is_retryable(),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let address = Replay::always(200, vec![b'x'; 40 * 1024 * 1024]);
    let error = archive_at(address, None).series().await.unwrap_err();
    assert!(matches!(error, ArchiveError::AnswerTooLong { .. }), "{error:?}");
    // As an error body it is cut short.
    let address = Replay::always(400, vec![b'x'; 40 * 1024 * 1024]);
    let error = archive_at(address, None).series().await.unwrap_err().to_string();
    assert!(error.contains("xxx") && error.len() < 1_000, "{error}");
}

#[test]
fn calls_may_move_between_threads() {
    fn holds<T: Send>(_: T) {}
    let location = "influxdb+http://127.0.0.1:1/?org=so&bucket=sen".parse().unwrap();
    let archive = Archive::new(Config::new(location)).unwrap();
    let key = key();
    holds((archive.prepare(), archive.write(&[]), archive.flush(), archive.series()));
    holds((archive.points(&key, Span::ALL, 1), archive.points_downsampled(&key, Span::ALL, 1)));
    holds((archive.summaries(&key, Tier::Day, Span::ALL, 1), archive.latest(&[])));
}

#[test]
fn the_token_is_never_printed() {
    let location = "influxdb+http://127.0.0.1:1/?org=so&bucket=sen".parse().unwrap();
    let config = Config { token: Token::new("hush-hush"), ..Config::new(location) };
    let archive = Archive::new(config.clone()).unwrap();
    let printed = format!("{config:?} {archive:?}");
    assert!(printed.contains("bucket: \"sen\"") && !printed.contains("hush"), "{printed}");
}

#[test]
fn a_token_file_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let said = || Token::from_file(&path).unwrap_err().to_string();
    assert!(said().contains("token cannot be used"), "{}", said());
    std::fs::write(&path, "two words").unwrap();
    assert!(said().contains("one token"), "{}", said());
    std::fs::write(&path, " good==\n").unwrap();
    assert!(Token::from_file(&path).is_ok());
}

#[tokio::test]
async fn nobody_there_is_retryable() {
    let nobody = Port::hold().unwrap();
    let location = format!("influxdb+http://{}/?org=so&bucket=sen", nobody.address());
    let location = location.parse().unwrap();
    let archive = Archive::new(Config::new(location)).unwrap();
    let error = archive.write(&rows(1)).await.unwrap_err();
    assert!(matches!(error, ArchiveError::Unreachable(_)) && error.is_retryable(), "{error:?}");
    assert!(archive.prepare().await.unwrap_err().is_retryable());
}

/// Needs `SEN_TEST_INFLUXDB_URL` (`influxdb+http://…/?org=…&bucket=…`) and
/// `SEN_TEST_INFLUXDB_TOKEN`; it writes into that bucket.
#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "a test has no configuration")]
async fn a_real_server_gives_back_what_it_was_given() {
    let variable = |name: &str| std::env::var(name).ok();
    let Some(location) = variable("SEN_TEST_INFLUXDB_URL") else {
        // Not with a macro: the runner would keep that to itself.
        let line = b"SKIPPED: no real InfluxDB 2, SEN_TEST_INFLUXDB_URL names none\n";
        std::io::stderr().write_all(line).unwrap();
        return;
    };
    let token = Token::new(&variable("SEN_TEST_INFLUXDB_TOKEN").unwrap_or_default());
    let archive = Archive::new(Config { token, ..Config::new(location.parse().unwrap()) }).unwrap();
    archive.prepare().await.unwrap();
    let points: Vec<_> = (0..30_000).map(point).collect();
    let mut rows = rows(30_000);
    rows.push(Row::Summary(key(), summary()));
    for _ in 0..2 {
        assert!(archive.write(&rows).await.unwrap().refused.is_empty());
    }
    assert_eq!(archive.points(&key(), Span::ALL, 99_999).await.unwrap(), points);
    assert_eq!(archive.latest(&[key()]).await.unwrap(), [points.last().copied()]);
    assert_eq!(archive.series().await.unwrap(), [key()]);
    let found = archive.summaries(&key(), Tier::Minute, Span::ALL, 9).await.unwrap();
    assert_eq!(found[0].partial, Some(summary().partial));
}
