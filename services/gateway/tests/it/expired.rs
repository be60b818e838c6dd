//! What retention has deleted: a coarser tier tells of it, and never half of a range looks whole.

use sen_model::{Quality, Timestamp};

use crate::house::NOW_MS;
use crate::past::{DAY_MS, PM25, Past};

#[tokio::test]
async fn no_finer_tier_is_taken_than_is_kept_from_the_beginning_of_the_range() {
    let mut past = Past::new().await;
    // A reading a day for 120 days: few enough for one curve of readings.
    let daily: Vec<_> =
        (1..120).map(|day| (NOW_MS - day * DAY_MS, day as f64, Quality::Good)).collect();
    past.say("air-1", PM25, &daily).await;
    past.settle().await;
    past.house.store.roll_up(Timestamp::from_millis(NOW_MS)).await.unwrap();
    past.house.store.retain(Timestamp::from_millis(NOW_MS)).await.unwrap();

    let from = |days: i64| format!("from={}", NOW_MS - days * DAY_MS);
    let path = format!("/api/v1/series/air-1/{PM25}/readings?max_points=5000&");
    // The window of the first reading begins before these ranges.
    for (days, tier, first) in [(20, "raw", 20), (60, "15m", 59), (110, "1h", 109)] {
        let (status, curve) = past.house.get(&format!("{path}{}", from(days))).await;
        assert_eq!((status, curve["tier"].as_str()), (200, Some(tier)), "{days} days: {curve}");
        let oldest = curve["items"][0]["value"].as_f64().unwrap();
        assert_eq!(oldest as i64, first, "the curve begins where the range does");
    }
    let path = format!("/api/v1/series/air-1/{PM25}/summaries?{}&", from(110));
    let to = format!("to={}", NOW_MS - 108 * DAY_MS);
    let (status, windows) = past.house.get(&format!("{path}{to}")).await;
    assert_eq!((status, windows["tier"].as_str()), (200, Some("15m")), "{windows}");
    assert_eq!(windows["items"].as_array().unwrap().len(), 2);
}
