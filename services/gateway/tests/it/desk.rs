//! What people do about alerts and at the desk: every path, what reaches the alert service, and what
//! becomes of its answers.

use std::sync::{Arc, Mutex};

use sen_chassis::Tasks;
use sen_gateway::RunError;
use sen_model::*;
use serde_json::{Value, json};

use crate::house::{House, NOW_MS, alert, config, entry};

/// Answers every command with `answer`, and keeps what was asked.
fn service(
    house: &mut House,
    answer: impl Fn(&Command) -> CommandOutcome + Send + 'static,
) -> (Arc<Mutex<Vec<Command>>>, Tasks<RunError>) {
    let mut commands = std::mem::replace(&mut house.commands, sen_chassis::call::channel(1).1);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let mut tasks = Tasks::new();
    tasks.spawn("alert service", async move {
        while let Some((command, reply)) = commands.next().await {
            let outcome = answer(&command);
            kept.lock().unwrap().push(command);
            let _ = reply.send(outcome);
        }
        Ok(())
    });
    (asked, tasks)
}

fn until(ms: i64) -> String {
    Timestamp::from_millis(NOW_MS + ms).to_string()
}

#[tokio::test]
async fn every_act_on_an_alert_has_its_path_and_its_body() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    let (asked, _tasks) = service(&mut house, |_| {
        CommandOutcome::Done(Changed::Alert(Box::new(alert("a", 2, Field::Security))))
    });
    let later = until(3_600_000);
    let at = Timestamp::from_millis(NOW_MS + 3_600_000);
    let reason = || "đang sửa máy bơm".to_owned();
    let cases = [
        (json!({"by":"Lan","note":"đã gọi"}), Act::Acknowledge { note: "đã gọi".into() }),
        (
            json!({"by":"Lan","to":" Đội 2 "}),
            Act::Assign { to: "Đội 2".into(), note: String::new() },
        ),
        (
            json!({"by":"Lan","to":"","note":"x"}),
            Act::Assign { to: String::new(), note: "x".into() },
        ),
        (json!({"by":"Lan","text":"gọi lại"}), Act::Note { text: "gọi lại".into() }),
        (
            json!({"by":"Lan","reason":reason(),"until":later,"one_shot":true}),
            Act::Shelve { reason: reason(), until: at, one_shot: true },
        ),
        (
            json!({"by":"Lan","reason":reason(),"until":later}),
            Act::Shelve { reason: reason(), until: at, one_shot: false },
        ),
        (json!({"by":"Lan"}), Act::Unshelve),
        (
            json!({"by":"Lan","reason":reason(),"until":later}),
            Act::Suppress { reason: reason(), until: at },
        ),
        (json!({"by":"Lan"}), Act::Unsuppress),
        (json!({"by":"Lan"}), Act::Reset { note: String::new() }),
        (
            json!({"by":"Lan","cause":"false_alarm","note":"cảm biến hỏng"}),
            Act::Close { cause: Cause::FalseAlarm, note: "cảm biến hỏng".into() },
        ),
    ];
    for (number, (body, wanted)) in cases.into_iter().enumerate() {
        let (path, key) = (format!("/api/v1/alerts/a/{}", wanted.name()), format!("k{number}"));
        let headers = [("idempotency-key", key.as_str()), ("if-match", "\"1\"")];
        let (status, answer) = house.post(&path, &headers, &body.to_string()).await;
        assert_eq!((status, &answer["rev"]), (200, &json!(2)), "{path} {answer}");
        let command = asked.lock().unwrap().pop().unwrap();
        let order =
            Order::Alert { alert: AlertId::from_text("a"), expected_rev: Some(1), act: wanted };
        assert_eq!(
            (command.order, command.by, command.idempotency_key),
            (order, "Lan".into(), key)
        );
        assert_eq!(command.at.as_millis(), NOW_MS);
    }
    house.stop().await;
}

#[tokio::test]
async fn acts_that_cannot_be_meant_are_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    let (asked, _tasks) = service(&mut house, |_| CommandOutcome::Unknown);
    let (past, later) = (until(-1), until(1_000));
    let long = "x".repeat(1_001);
    let cases = [
        ("alerts/a/shelve", json!({"by":"Lan","reason":" ","until":later}), 400, "reason"),
        ("alerts/a/shelve", json!({"by":"Lan","reason":"x","until":past}), 400, "has passed"),
        ("alerts/a/shelve", json!({"by":"Lan","reason":"x","until":"soon"}), 422, "RFC 3339"),
        (
            "alerts/a/shelve",
            json!({"by":"Lan","reason":"x","until":"2026-12-01T00:00:00"}),
            422,
            "offset",
        ),
        ("alerts/a/shelve", json!({"by":"Lan","reason":"x"}), 422, "until"),
        ("alerts/a/suppress", json!({"by":"Lan","reason":long,"until":later}), 400, "at most"),
        ("alerts/a/note", json!({"by":"Lan","text":""}), 400, "text"),
        ("alerts/a/assign", json!({"by":"Lan"}), 422, "to"),
        ("alerts/a/close", json!({"by":"Lan","cause":"bored"}), 422, "false_alarm"),
        ("alerts/a/unshelve", json!({"by":"Lan","note":"x"}), 422, "note"),
        ("alerts/a/reset", json!({"by":""}), 400, "by"),
        ("stage", json!({"by":"Lan","stage":6,"reason":"x"}), 400, "1 to 5"),
        ("stage", json!({"by":"Lan","stage":3,"reason":""}), 400, "reason"),
        ("out-of-service", json!({"by":"Lan","reach":{},"reason":"x"}), 400, "at least one"),
        ("out-of-service", json!({"by":"Lan","reach":{"area":"x"},"reason":"x"}), 422, "area code"),
        ("out-of-service", json!({"by":"Lan","reach":{"kind":"x"},"reason":"x"}), 422, "kind"),
        (
            "works",
            json!({"by":"Lan","reach":{"rule":"r"},"from":later,"until":later,"reason":"x"}),
            400,
            "before",
        ),
        ("drill", json!({"by":"Lan","on":"yes","reason":"x"}), 422, "boolean"),
        ("shifts", json!({"by":"Lan","to":"","from":past,"text":""}), 400, "to"),
        ("shifts", json!({"by":"Lan","to":"Minh","from":later}), 400, "not begun"),
        ("shifts", json!({"by":"Lan","to":"Minh","from":past,"desk":"water"}), 422, "desk"),
    ];
    for (path, body, wanted, word) in cases {
        let path = format!("/api/v1/{path}");
        let (status, problem) =
            house.post(&path, &[("idempotency-key", "k")], &body.to_string()).await;
        assert_eq!(
            (status, problem["status"].as_u64()),
            (wanted, Some(wanted.into())),
            "{path} {body}"
        );
        assert!(problem["detail"].as_str().unwrap().contains(word), "{path} {body}: {problem}");
    }
    for (path, body) in [
        ("alerts/a/reset", json!({"by":"Lan"})),
        ("drill", json!({"by":"Lan","on":true,"reason":"x"})),
        ("shifts", json!({"by":"Lan","to":"Minh","from":past})),
    ] {
        let (status, problem) =
            house.post(&format!("/api/v1/{path}"), &[], &body.to_string()).await;
        assert_eq!(status, 400, "without a key: {problem}");
    }
    assert!(asked.lock().unwrap().is_empty(), "none of it reached the alert service");
    house.stop().await;
}

#[tokio::test]
async fn a_refusal_says_why_in_both_languages() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    let why = Text::new("Cảnh báo đang diễn ra nên chưa thể đóng", "The condition still holds");
    let refusal = why.clone();
    let (_, _tasks) = service(&mut house, move |_| CommandOutcome::Refused(refusal.clone()));
    let key = [("idempotency-key", "k")];
    let body = r#"{"by":"Lan","cause":"resolved"}"#;
    let (status, problem) = house.post("/api/v1/alerts/a/close", &key, body).await;
    assert_eq!((status, &problem["type"]), (409, &json!("urn:sen:problem:refused")));
    assert_eq!((&problem["detail"], &problem["text"]["vi"]), (&json!(why.en), &json!(why.vi)));
    let body = r#"{"by":"Lan","on":true,"reason":"x"}"#;
    assert_eq!(house.post("/api/v1/drill", &key, body).await.0, 409);
    house.stop().await;
}

#[tokio::test]
async fn every_act_at_the_desk_has_its_path_and_answers_its_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    let (asked, _tasks) = service(&mut house, |_| {
        let drill = Entry::Drill { reason: "Diễn tập".into() };
        CommandOutcome::Done(Changed::Desk(Box::new(entry("drill", 1, true, drill))))
    });
    let at = |ms| Timestamp::from_millis(NOW_MS + ms);
    let reach = Reach { device: Some(DeviceId::new("stn-my-tho").unwrap()), ..Reach::default() };
    let why = || "lý do".to_owned();
    let entry = || EntryId::from_text("work-1");
    let cases = [
        (
            "stage",
            json!({"by":"Lan","stage":3,"reason":why()}),
            DeskAct::SetStage { stage: 3, reason: why() },
        ),
        (
            "out-of-service",
            json!({"by":"Lan","reach":{"device":"stn-my-tho"},"reason":why()}),
            DeskAct::TakeOut { reach: reach.clone(), reason: why() },
        ),
        (
            "out-of-service/work-1/put-back",
            json!({"by":"Lan"}),
            DeskAct::PutBack { entry: entry() },
        ),
        (
            "works",
            json!({"by":"Lan","reach":{"device":"stn-my-tho"},"from":until(-9),"until":until(9),"reason":why()}),
            DeskAct::PlanWork { reach, from: at(-9), until: at(9), reason: why() },
        ),
        ("works/work-1/end", json!({"by":"Lan"}), DeskAct::EndWork { entry: entry() }),
        (
            "drill",
            json!({"by":"Lan","on":false,"reason":why()}),
            DeskAct::SetDrill { on: false, reason: why() },
        ),
        (
            "shifts",
            json!({"by":"Lan","to":"Minh","desk":"environment","from":until(-9),"text":"yên"}),
            DeskAct::HandOver {
                to: "Minh".into(),
                desk: Some(Field::Environment),
                from: at(-9),
                text: "yên".into(),
            },
        ),
        (
            "shifts",
            json!({"by":"Lan","to":"Minh","desk":null,"from":until(-9),"text":""}),
            DeskAct::HandOver { to: "Minh".into(), desk: None, from: at(-9), text: String::new() },
        ),
    ];
    for (path, body, act) in cases {
        let key = [("idempotency-key", "k")];
        let (status, answer) =
            house.post(&format!("/api/v1/{path}"), &key, &body.to_string()).await;
        assert_eq!((status, &answer["id"]), (200, &json!("drill")), "{path} {answer}");
        let command = asked.lock().unwrap().pop().unwrap();
        assert_eq!((command.order, command.by.as_str()), (Order::Desk { act }, "Lan"), "{path}");
    }
    house.stop().await;
}

fn work(reason: &str) -> Entry {
    Entry::Work {
        reach: Reach { rule: Some(RuleId::new("flood").unwrap()), ..Reach::default() },
        from: Timestamp::from_millis(NOW_MS),
        until: Timestamp::from_millis(NOW_MS + 1_000),
        reason: reason.into(),
    }
}

#[tokio::test]
async fn lists_of_the_desk_have_pages_and_know_what_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    assert_eq!(house.get("/api/v1/stage").await.1["stage"], Value::Null);
    let mut records: Vec<DeskRecord> =
        (0..5).map(|n| entry(&format!("work-{n}"), 1, true, work("x"))).collect();
    records.push(entry("work-3", 2, false, work("xong")));
    let reason = || "Lũ lên nhanh".to_owned();
    records.push(entry("stage", 1, true, Entry::Stage { stage: 2, reason: reason() }));
    records.push(entry("stage", 2, true, Entry::Stage { stage: 3, reason: reason() }));
    let alerts = vec![AlertId::from_text("a")];
    records.push(entry("stage-advice", 1, true, Entry::StageAdvice { stage: 4, alerts }));
    records.push(entry("drill", 1, true, Entry::Drill { reason: reason() }));
    house.desk.append(records).await.unwrap();

    let whole = house.until("/api/v1/drill", |page| page["items"][0]["open"] == true).await;
    assert_eq!(whole["items"][0]["entry"]["kind"], "drill");
    let ids = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let (_, open) = house.get("/api/v1/works").await;
    assert_eq!(ids(&open), ["work-4", "work-2", "work-1", "work-0"]);
    let (_, first) = house.get("/api/v1/works?state=all&limit=2").await;
    assert_eq!(ids(&first), ["work-4", "work-3"]);
    let next = first["next"].as_str().unwrap();
    let (_, second) = house.get(&format!("/api/v1/works?state=all&limit=9&cursor={next}")).await;
    assert_eq!((ids(&second).len(), &second["next"]), (3, &Value::Null));
    assert_eq!(first["items"][1]["entry"]["reason"], "xong");
    for wrong in ["works?state=old", "works?limit=x", "works?cursor=x", "shifts/now?desk=x"] {
        assert_eq!(house.get(&format!("/api/v1/{wrong}")).await.0, 400, "{wrong}");
    }
    let (_, stage) = house.get("/api/v1/stage").await;
    assert_eq!((&stage["stage"], &stage["by"]), (&json!(3), &json!("Lan")));
    assert_eq!(
        (&stage["advice"]["stage"], stage["history"].as_array().unwrap().len()),
        (&json!(4), 2)
    );
    assert_eq!(stage["history"][0]["rev"], 2, "newest first");
    for empty in ["floods", "hints", "shifts", "out-of-service"] {
        let (status, page) = house.get(&format!("/api/v1/{empty}")).await;
        assert_eq!((status, &page["items"]), (200, &json!([])), "{empty}");
    }
    house.stop().await;
}

#[tokio::test]
async fn the_draft_of_a_shift_is_what_there_is_to_hand_over() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let at = |ms| Timestamp::from_millis(NOW_MS + ms);
    let shift = Entry::Shift {
        desk: None,
        from: at(-2_000),
        until: at(-1_000),
        to: "Lan".into(),
        text: String::new(),
        open: Vec::new(),
        shelved: Vec::new(),
        suppressed: Vec::new(),
        out_of_service: Vec::new(),
        raised: 0,
        acknowledged: 0,
    };
    let out = Entry::OutOfService { reach: Reach::default(), reason: "hỏng".into() };
    let records = vec![
        entry("shift-1", 1, false, shift),
        entry("out-1", 1, true, out),
        entry("work-1", 1, true, work("x")),
    ];
    house.desk.append(records).await.unwrap();
    let mut shelved = alert("shelved", 1, Field::Environment);
    shelved.shelving = Some(alert::Shelving {
        by: "Lan".into(),
        at: at(0),
        reason: "x".into(),
        until: at(9),
        one_shot: false,
    });
    let mut noted = alert("noted", 2, Field::Environment);
    let note = |ms, text: &str| alert::Note { by: "Lan".into(), at: at(ms), text: text.into() };
    noted.notes = vec![note(-5_000, "ca trước"), note(-10, "ca này")];
    let (by, note) = ("Lan".to_owned(), String::new());
    noted.acknowledgement = Some(alert::Acknowledgement { by, at: at(1), note });
    let mut old = alert("old", 1, Field::Environment);
    old.started_at = at(-9_000);
    let alerts = vec![shelved, noted, old, alert("elsewhere", 1, Field::Security)];
    house.alert(alerts).await;
    let whole =
        |draft: &Value| draft["counts"]["shelved"] == 1 && draft["works"][0]["id"] == "work-1";
    let draft = house.until("/api/v1/shifts/now?desk=environment", whole).await;
    assert_eq!(draft["from"], at(-1_000).to_string());
    assert_eq!(
        draft["counts"],
        json!({"open": 2, "shelved": 1, "suppressed": 0, "raised": 2, "acknowledged": 1})
    );
    assert_eq!(
        (&draft["out_of_service"][0]["id"], draft["notes"].as_array().unwrap().len()),
        (&json!("out-1"), 1)
    );
    assert_eq!(
        (&draft["notes"][0]["text"], &draft["notes"][0]["alert"]),
        (&json!("ca này"), &json!("noted"))
    );
    let (_, all) = house.get("/api/v1/shifts/now").await;
    assert_eq!(all["counts"]["open"], 3);
    house.stop().await;
}

#[tokio::test]
async fn lists_of_alerts_are_filtered_by_what_was_done_about_them() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let at = Timestamp::from_millis(NOW_MS);
    let mut shelved = alert("shelved", 1, Field::Environment);
    let (by, reason) = (|| "Lan".to_owned(), || "x".to_owned());
    shelved.shelving =
        Some(alert::Shelving { by: by(), at, reason: reason(), until: at, one_shot: false });
    let mut suppressed = alert("suppressed", 1, Field::Environment);
    let why = alert::Explanation::Person { by: by(), reason: reason() };
    suppressed.suppression = Some(alert::Suppression { why, at, until: None });
    let mut out = alert("out", 1, Field::Environment);
    out.out_of_service = Some("out-1".into());
    let mut mine = alert("mine", 2, Field::Security);
    mine.assignment = Some(alert::Assignment { to: "Minh".into(), by: by(), at });
    mine.area = Some(AreaCode::new("28261").unwrap());
    mine.rule = RuleId::new("crowd").unwrap();
    let mut latched = alert("latched", 1, Field::Environment);
    latched.state = AlertState::Latched;
    latched.device = DeviceId::new("pump-1").unwrap();
    let over = alert("over", 3, Field::Environment);
    house.shadow.append(vec![alert("tried", 1, Field::Environment)]).await.unwrap();
    house.alert(vec![shelved, suppressed, out, mine, latched, over]).await;
    house
        .until("/api/v1/alerts?state=all", |page| page["items"].as_array().unwrap().len() == 6)
        .await;
    for (query, wanted) in [
        ("", vec!["latched", "mine"]),
        ("?state=open", vec!["latched", "mine"]),
        ("?state=shelved", vec!["shelved"]),
        ("?state=suppressed", vec!["suppressed"]),
        ("?state=out_of_service", vec!["out"]),
        ("?state=latched", vec!["latched"]),
        ("?state=acknowledged", vec!["mine"]),
        ("?state=normal", vec!["over"]),
        ("?state=all&field=security", vec!["mine"]),
        ("?assignee=Minh", vec!["mine"]),
        ("?area=28261", vec!["mine"]),
        ("?rule=crowd", vec!["mine"]),
        ("?device=pump-1", vec!["latched"]),
        ("?severity=1", vec![]),
        ("?state=all&severity=2&limit=1", vec!["over"]),
    ] {
        let (status, page) = house.get(&format!("/api/v1/alerts{query}")).await;
        assert_eq!(status, 200, "{query} {page}");
        let items = page["items"].as_array().unwrap();
        let ids: Vec<&str> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!(ids, wanted, "{query}");
    }
    let tried = house.until("/api/v1/shadow", |page| page["items"][0]["id"] == "tried").await;
    assert_eq!(tried["items"].as_array().unwrap().len(), 1);
    assert_eq!(house.get("/api/v1/alerts?state=asleep").await.0, 400);
    house.stop().await;
}
