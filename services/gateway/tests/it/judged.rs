//! Why an alert was raised, how good the alarms are, and what other rules would have found.

use sen_model::time::{DAY_MS, HOUR_MS, MINUTE_MS};
use sen_model::*;
use serde_json::{Value, json};

use crate::house::{House, NOW_MS, alert, config, device, entry, event, rule, station};
use crate::past::Past;

const LEVEL: &str = "water_level_m";

/// A house with a river station, one near it and one far from it, and their readings around now.
async fn with_readings() -> Past {
    let mut near = station("rain-1", "rain", "28261", "rain_mm", "mm");
    (near.lat, near.lon) = (10.40, 106.36);
    let mut far = station("rain-2", "rain", "28261", "rain_mm", "mm");
    (far.lat, far.lon) = (10.60, 106.36);
    let mut past = Past::over(vec![device("stn-my-tho"), near, far]).await;
    let good = Quality::Good;
    let level: Vec<_> = (0..120)
        .map(|n| (NOW_MS - (119 - n) * MINUTE_MS, if n < 60 { 1.2 } else { 1.7 }, good))
        .collect();
    past.say("stn-my-tho", LEVEL, &level).await;
    for rain in ["rain-1", "rain-2"] {
        let fallen: Vec<_> = (0..120)
            .map(|n| (NOW_MS - (119 - n) * MINUTE_MS, if n < 60 { 0.0 } else { 4.0 }, good))
            .collect();
        past.say(rain, "rain_mm", &fallen).await;
    }
    past.settle().await;
    past
}

/// When the water rose.
fn start() -> Timestamp {
    Timestamp::from_millis(NOW_MS - 59 * MINUTE_MS)
}

#[tokio::test]
async fn why_tells_the_rule_as_it_was_and_what_led_to_the_alert() {
    let past = with_readings().await;
    let house = &past.house;
    let mut old = rule("flood");
    let bound = Bound::AtLeast(1.6);
    let limit = Limit { bound, clear: None, for_ms: 5 * MINUTE_MS, clear_for_ms: 0 };
    let level = |limit| Level { severity: Severity::HIGH, limit };
    let mild = Limit { bound: Bound::AtLeast(1.4), ..limit };
    old.condition = Condition::Levels { levels: vec![level(mild), level(limit)] };
    let edition = Entry::Edition { rule: Box::new(old), version: "v1".into() };
    house.desk.append(vec![entry("edition-flood-v1", 1, true, edition)]).await.unwrap();
    let mut raised = alert("a", 1, Field::Environment);
    (raised.rule_version, raised.limit) = ("v1.2".into(), None);
    (raised.started_at, raised.group) = (start(), "flood|28261".into());
    let mut same = alert("same-group", 1, Field::Environment);
    (same.started_at, same.group) = (start(), "flood|28261".into());
    same.device = DeviceId::new("rain-1").unwrap();
    let mut other = alert("other", 1, Field::Environment);
    other.started_at = start().plus_ms(-3 * HOUR_MS);
    house.alert(vec![raised, same, other]).await;
    let happened = |device: &str, id: &str, ms: i64| {
        let mut one = event(device, id);
        one.event_time = start().plus_ms(ms);
        one
    };
    let events = vec![
        happened("rain-1", "long-before", -2 * HOUR_MS),
        happened("rain-1", "near", MINUTE_MS),
        happened("rain-2", "far", MINUTE_MS),
        happened("stn-my-tho", "here", 0),
    ];
    house.events.append(events).await.unwrap();
    let whole =
        |why: &Value| why["rule"]["id"] == "flood" && why["related"][0]["id"] == "same-group";
    let why = house.until("/api/v1/alerts/a/why", whole).await;
    assert_eq!(
        (&why["rule"]["version"], &why["rule"]["condition"]["type"]),
        (&json!("v1"), &json!("levels"))
    );
    assert_eq!(why["related"].as_array().unwrap().len(), 1, "{}", why["related"]);
    let readings = &why["readings"];
    assert_eq!(
        (&readings["metric"], &readings["unit"], &readings["limit"]),
        (&json!(LEVEL), &json!("m"), &json!(1.6))
    );
    // Five minutes and ten intervals of a minute, on both sides.
    assert_eq!(readings["from"], start().plus_ms(-15 * MINUTE_MS).to_string());
    let items = readings["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["value"], &items[29]["value"]),
        (30, &json!(1.2), &json!(1.7))
    );
    let nearby = why["nearby"].as_array().unwrap();
    assert_eq!((nearby.len(), &nearby[0]["device"]), (1, &json!("rain-1")), "{nearby:?}");
    assert!((nearby[0]["distance_m"].as_f64().unwrap() - 5_560.0).abs() < 20.0, "{nearby:?}");
    assert!(
        nearby[0]["before"].as_f64().unwrap() < 0.2 && nearby[0]["change"].as_f64().unwrap() > 3.7
    );
    assert_eq!((&nearby[0]["unit"], &nearby[0]["name"]["vi"]), (&json!("mm"), &json!("Mỹ Tho")));
    let events: Vec<&str> =
        why["events"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(events, ["here", "near"]);
    assert_eq!(house.get("/api/v1/alerts/unknown/why").await.0, 404);
    past.house.stop().await;
}

#[tokio::test]
async fn why_knows_the_rule_in_force_and_says_null_where_it_knows_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let mut known = alert("known", 1, Field::Environment);
    known.rule_version = rule("flood").version();
    let mut silent = alert("silent", 1, Field::Environment);
    silent.metric = None;
    silent.device = DeviceId::new("unknown-1").unwrap();
    house.alert(vec![known, silent]).await;
    let why = house.until("/api/v1/alerts/known/why", |why| why["rule"]["id"] == "flood").await;
    assert_eq!((&why["readings"]["items"], &why["nearby"]), (&json!([]), &json!([])));
    let (_, why) = house.get("/api/v1/alerts/silent/why").await;
    assert_eq!((&why["rule"], &why["readings"]), (&Value::Null, &Value::Null));
    house.stop().await;
}

#[tokio::test]
async fn the_figures_are_of_what_was_shown_and_stand_in_a_table_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let records = (0..30).map(|n| {
        let field = if n % 3 == 0 { Field::Security } else { Field::Environment };
        let mut record = alert(&format!("a{n}"), 1, field);
        record.recorded_at = Timestamp::from_millis(NOW_MS - HOUR_MS + n * 1_000);
        record.drill = n == 29;
        record
    });
    house.alert(records.collect()).await;
    let shown = |answer: &Value| answer["total"]["shown"] == 29;
    let answer = house.until("/api/v1/performance", shown).await;
    // Thirty days were asked for, and an hour is known.
    assert_eq!((&answer["enough"], &answer["total"]["drill"]), (&json!(false), &json!(1)));
    let known = Timestamp::from_millis(NOW_MS - HOUR_MS).to_string();
    assert_eq!(answer["covered_from"], known);
    assert_eq!(answer["to"], Timestamp::from_millis(NOW_MS).to_string());
    let figure = |report: &Value, name: &str| -> Value {
        let figures = report["figures"].as_array().unwrap();
        figures.iter().find(|one| one["name"] == name).unwrap().clone()
    };
    let peak = figure(&answer["total"], "per_10_min_peak");
    assert_eq!((&peak["value"], &peak["met"]), (&json!(29.0), &json!(false)));
    assert_eq!(
        (&peak["target"]["value"], &peak["target"]["bound"]),
        (&json!(10.0), &json!("at_most"))
    );
    assert_eq!(figure(&answer["total"], "floods")["value"], 1.0);
    let desks: Vec<_> =
        answer["desks"].as_array().unwrap().iter().map(|one| (&one["of"], &one["shown"])).collect();
    assert_eq!(desks, [(&json!("security"), &json!(10)), (&json!("environment"), &json!(19))]);

    let (from, to) = (NOW_MS - 2 * DAY_MS, NOW_MS - DAY_MS);
    let (_, before) = house.get(&format!("/api/v1/performance?from={from}&to={to}")).await;
    assert_eq!((&before["total"]["shown"], &before["enough"]), (&json!(0), &json!(false)));
    let (_, one) = house.get("/api/v1/performance?desk=security").await;
    assert_eq!(
        (&one["total"]["of"], &one["total"]["shown"], &one["desks"]),
        (&json!("security"), &json!(10), &json!([]))
    );
    let (status, headers, body) =
        house.table("/api/v1/performance?rule=flood&format=csv&separator=semicolon", "*/*").await;
    assert_eq!((status, headers["content-type"].as_str()), (200, "text/csv; charset=utf-8"));
    let table = String::from_utf8(body).unwrap();
    assert!(
        table.starts_with(
            "\u{feff}of;figure;value;unit;bound;target;met\r\nrule:flood;shown;29;1;;;\r\n"
        ),
        "{table}"
    );
    for wrong in ["desk=water", "format=xml", "separator=tab", "rule=A", "from=9&to=8", "when=now"]
    {
        let (status, problem) = house.get(&format!("/api/v1/performance?{wrong}")).await;
        assert_eq!(status, 400, "{wrong} {problem}");
    }
    house.stop().await;
}

#[tokio::test]
async fn rules_can_be_tried_over_the_past() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    let mut questions = std::mem::replace(&mut house.backtests, sen_chassis::call::channel(1).1);
    let at = Timestamp::from_millis;
    let body =
        json!({"rules": "# luật\n", "from": at(NOW_MS - DAY_MS), "to": at(NOW_MS)}).to_string();
    let report = BacktestReport {
        from: at(NOW_MS - DAY_MS),
        to: at(NOW_MS),
        readings: 9,
        series: 1,
        took_ms: 3,
        trials: Vec::new(),
        raised: 0,
        chatter: 0,
        rules: Vec::new(),
    };
    let answers = [
        BacktestAnswer::Report(Box::new(report)),
        BacktestAnswer::Problems(vec![("rule 3, key `limit`".into(), "not a number".into())]),
        BacktestAnswer::Refused("the history does not go back so far".into()),
    ];
    for (answer, wanted) in answers.into_iter().zip([200, 422, 400]) {
        let service = async {
            let (asked, reply) = questions.next().await.expect("a question");
            let _ = reply.send(answer);
            asked
        };
        let ((status, answer), asked) =
            tokio::join!(house.post("/api/v1/backtest", &[], &body), service);
        assert_eq!(status, wanted, "{answer}");
        assert_eq!((asked.rules.as_str(), asked.to), ("# luật\n", at(NOW_MS)));
        match status {
            200 => assert_eq!(answer["readings"], 9),
            422 => assert_eq!(
                answer["problems"][0],
                json!({"at": "rule 3, key `limit`", "what": "not a number"})
            ),
            _ => assert!(answer["detail"].as_str().unwrap().contains("so far")),
        }
    }
    // One at a time; and a whole file of rules fits in.
    let large = json!({"rules": "#".repeat(500_000), "from": at(0), "to": at(1)}).to_string();
    let first = house.post("/api/v1/backtest", &[], &large);
    let second = async {
        let (_, reply) = questions.next().await.expect("a question");
        let answer = house.post("/api/v1/backtest", &[], &body).await;
        let _ = reply.send(BacktestAnswer::Refused("x".into()));
        answer
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.0, second.0), (400, 503));
    let backwards = json!({"rules": "", "from": at(1), "to": at(0)}).to_string();
    assert_eq!(house.post("/api/v1/backtest", &[], &backwards).await.0, 400);
    drop(questions);
    assert_eq!(house.post("/api/v1/backtest", &[], &body).await.0, 503);
    house.stop().await;
}
