//! What operators read, of every kind of rule.

use sen_model::condition::{Hours, Statistic, When};
use sen_model::{Level, Rule, Severity};

use super::*;
use crate::fixtures::{at, device_id, metric, registry, rule};

fn limit(bound: Bound, clear: Option<f64>) -> Limit {
    Limit { bound, clear, for_ms: 0, clear_for_ms: 0 }
}

/// The Vietnamese and the English of a raise and a clear, without name and place.
fn said(rule: &Rule, raised: f64, cleared: Option<f64>) -> [String; 4] {
    let edition = Edition::all_of(rule).pop().unwrap();
    let subject =
        Subject { edition, device: device_id("stn-a"), metric: Some(metric("level")), area: None };
    let registry = registry();
    let scene = Scene::new(&registry, &subject);
    let (raised, cleared) = (scene.raised(Some(raised), at(0)), scene.cleared(cleared, at(0)));
    [raised.vi, raised.en, cleared.vi, cleared.en].map(|text| {
        let text = text
            .strip_prefix("Báo động III Mỹ Tho")
            .or(text.strip_prefix("Alarm level III Mỹ Tho"));
        let text = text.unwrap().trim_start_matches(": ");
        let end = text.find(" tại Trạm").or(text.find(" at Station")).unwrap();
        text[..end].to_owned()
    })
}

/// A condition, the value that raises, the value that clears, and what is said of both.
type Case = (Condition, f64, Option<f64>, [&'static str; 4]);

const HOUR: i64 = 3_600_000;

fn high(limit: f64) -> Limit {
    self::limit(Bound::AtLeast(limit), None)
}

fn limits() -> Vec<Case> {
    let level = |severity, at| Level { severity, limit: high(at) };
    vec![
        (
            Condition::Threshold { limit: high(1.6) },
            1.62,
            Some(1.5),
            [
                "mực nước 1,62 m (ngưỡng 1,60 m)",
                "water level 1.62 m (limit 1.60 m)",
                "đã xuống dưới ngưỡng, mực nước 1,5 m (ngưỡng 1,6 m)",
                "has fallen below the limit, water level 1.5 m (limit 1.6 m)",
            ],
        ),
        (
            Condition::Threshold { limit: limit(Bound::Below(4.0), None) },
            3.0,
            Some(4.0),
            [
                "mực nước 3 m (ngưỡng 4 m)",
                "water level 3 m (limit 4 m)",
                "đã về trong ngưỡng, mực nước 4 m (ngưỡng 4 m)",
                "is within the limit again, water level 4 m (limit 4 m)",
            ],
        ),
        (
            Condition::Levels {
                levels: vec![level(Severity::MEDIUM, 1.4), level(Severity::CRITICAL, 1.6)],
            },
            1.7,
            None,
            [
                ", mức II: mực nước 1,7 m (ngưỡng 1,6 m)",
                ", level II: water level 1.7 m (limit 1.6 m)",
                ", mức II: đã xuống dưới ngưỡng",
                ", level II: has fallen below the limit",
            ],
        ),
    ]
}

fn changes() -> Vec<Case> {
    vec![
        (
            Condition::Rate { limit: high(0.3), per_ms: HOUR, within_ms: HOUR },
            0.42,
            Some(-0.1),
            [
                "mực nước tăng 0,42 m/giờ (ngưỡng 0,30 m/giờ)",
                "water level rose 0.42 m/h (limit 0.30 m/h)",
                "đã về trong ngưỡng, mực nước giảm 0,1 m/giờ (ngưỡng 0,3 m/giờ)",
                "is within the limit again, water level fell 0.1 m/h (limit 0.3 m/h)",
            ],
        ),
        (
            Condition::Rate {
                limit: limit(Bound::AtMost(-0.3), None),
                per_ms: HOUR / 6,
                within_ms: HOUR,
            },
            -0.5,
            None,
            [
                "mực nước giảm 0,5 m mỗi 10 phút (ngưỡng 0,3 m mỗi 10 phút)",
                "water level fell 0.5 m per 10 min (limit 0.3 m per 10 min)",
                "đã về trong ngưỡng",
                "is within the limit again",
            ],
        ),
        (
            Condition::Delta { limit: high(0.3), within_ms: HOUR },
            0.42,
            Some(0.0),
            [
                "mực nước tăng 0,42 m trong 1 giờ (ngưỡng 0,30 m)",
                "water level rose 0.42 m in 1 h (limit 0.30 m)",
                "đã về trong ngưỡng, mực nước tăng 0,0 m trong 1 giờ (ngưỡng 0,3 m)",
                "is within the limit again, water level rose 0.0 m in 1 h (limit 0.3 m)",
            ],
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        (
            Condition::Frozen { tolerance: 0.0, for_ms: 6 * HOUR },
            1.62,
            Some(1.65),
            [
                "mực nước đứng yên ở 1,62 m suốt 6 giờ",
                "water level stuck at 1.62 m for 6 h",
                "đã thay đổi trở lại, mực nước 1,65 m",
                "moves again, water level 1.65 m",
            ],
        ),
        (
            Condition::Window {
                window_ms: 24 * HOUR,
                every_ms: HOUR,
                statistic: Statistic::Mean,
                limit: limit(Bound::Above(50.0), None),
                least_count: 0,
            },
            52.345,
            Some(50.0),
            [
                "mực nước trung bình 24 giờ 52,34 m (ngưỡng 50,00 m)",
                "water level 24 h mean 52.34 m (limit 50.00 m)",
                "đã về trong ngưỡng, mực nước trung bình 24 giờ 50 m (ngưỡng 50 m)",
                "is within the limit again, water level 24 h mean 50 m (limit 50 m)",
            ],
        ),
        (
            Condition::Window {
                window_ms: HOUR,
                every_ms: HOUR,
                statistic: Statistic::Count,
                limit: limit(Bound::Below(10.0), None),
                least_count: 0,
            },
            3.0,
            Some(12.0),
            [
                "mực nước số lần đo 1 giờ 3 (ngưỡng 10)",
                "water level 1 h count 3 (limit 10)",
                "đã tăng lên trên ngưỡng, mực nước số lần đo 1 giờ 12 (ngưỡng 10)",
                "has risen above the limit, water level 1 h count 12 (limit 10)",
            ],
        ),
        (
            Condition::Expression {
                cel: "value > 3".into(),
                references: Vec::new(),
                for_ms: 0,
                clear_for_ms: 0,
            },
            3.2,
            Some(2.9),
            [
                "mực nước 3,2 m, đúng điều kiện của quy tắc",
                "water level 3.2 m, which meets the rule's condition",
                "không còn đúng điều kiện của quy tắc, mực nước 2,9 m",
                "no longer meets the rule's condition, water level 2.9 m",
            ],
        ),
    ]
}

#[test]
fn every_kind_says_what_is_wrong_and_how_it_ended() {
    for (condition, raised, cleared, expected) in [limits(), changes(), others()].concat() {
        let said = said(&rule("kind", condition.clone()), raised, cleared);
        assert_eq!(said, expected, "{condition:?}");
    }
}

#[test]
fn what_ends_with_its_hours_does_not_claim_to_be_good() {
    // It is seven in the morning of 1 January 1970 in Vietnam.
    let night = When { hours: vec![Hours { from: 1_260, until: 360 }], ..When::default() };
    let condition = Condition::Threshold { limit: limit(Bound::AtLeast(1.6), None) };
    let rule = Rule { when: Some(night), ..rule("night", condition) };
    let [_, _, vi, en] = said(&rule, 1.7, Some(1.8));
    assert_eq!(vi, "hết thời gian áp dụng quy tắc, mực nước 1,8 m (ngưỡng 1,6 m)");
    assert_eq!(en, "the rule does not apply at this time, water level 1.8 m (limit 1.6 m)");
}
