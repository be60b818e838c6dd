//! The oracle against what a person can work out by hand.

use sen_model::{DeviceId, Metric, Tier};

use super::*;

fn series() -> SeriesKey {
    let (device, metric) = (DeviceId::new("station-1"), Metric::new("level_m"));
    SeriesKey { device: device.expect("a name"), metric: metric.expect("a name") }
}

fn report(time_ms: i64, sequence: u32, value: f64) -> Report {
    Report { series: series(), time_ms, sequence, value, quality: Quality::Good }
}

#[test]
fn the_first_of_two_with_one_identity_counts() {
    let told = [report(60_000, 0, 4.0), report(59_999, 0, 2.0), report(60_000, 0, 9.0)];
    let suspect = Report { quality: Quality::Suspect, ..report(61_000, 0, 1e9) };
    let oracle = Oracle::of(told.into_iter().chain([suspect, report(60_000, 1, 8.0)]));
    assert_eq!(oracle.len(), 4);
    let minutes = oracle.windows(&series(), Length::Minutes(1));
    assert_eq!(minutes.keys().copied().collect::<Vec<_>>(), [0, 60_000]);
    let minute = &minutes[&60_000];
    assert_eq!((minute.count, minute.good_count, minute.sum_micro), (3, 2, 12_000_000));
    assert_eq!((minute.min(), minute.max(), minute.variance()), (Some(4.0), Some(8.0), Some(4.0)));
    let (first, last) = minute.ends.expect("good ones");
    assert_eq!((first.value, last.value, last.sequence), (4.0, 8.0, 1));
    assert_eq!((minute.true_quantile(0.5), minute.true_quantile(1.0)), (Some(4.0), Some(8.0)));
    let sketched = minute.sketched_quantile(0.5).expect("good ones");
    assert!((sketched - 4.0).abs() <= 0.04 && sketched >= 4.0, "{sketched}");
}

#[test]
fn days_are_those_of_a_calendar_on_a_wall_in_vietnam() {
    let ms = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_millisecond();
    for (moment, midnight) in [
        ("2024-02-29T23:59:59.999+07:00", "2024-02-29T00:00:00+07:00"),
        ("2024-03-01T00:00:00+07:00", "2024-03-01T00:00:00+07:00"),
        ("1900-03-01T00:00:00+07:00", "1900-03-01T00:00:00+07:00"),
        ("1969-12-31T16:59:59+00:00", "1969-12-31T00:00:00+07:00"),
        ("9999-12-30T10:00:00+07:00", "9999-12-30T00:00:00+07:00"),
    ] {
        assert_eq!(Length::VietnamDay.start_of(ms(moment)), ms(midnight), "{moment}");
    }
    assert_eq!(Length::of(Tier::QuarterHour).start_of(-1), -900_000);
    assert_eq!(Length::Minutes(1).start_of(i64::MIN), i64::MIN);
}
