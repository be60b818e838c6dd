//! Alerts of other programs coming in, and ours going out in CAP.

use sen_model::*;
use serde_json::{Value, json};

use crate::house::{House, NOW_MS, alert, config, entry, rule};

const FIRING: &str = include_str!("prometheus/firing.json");
const RESOLVED: &str = include_str!("prometheus/resolved.json");
const PATH: &str = "/api/v2/alerts";

/// Posts alerts while somebody answers the commands they become.
async fn told(house: &mut House, body: &str, answers: usize) -> ((u16, Value), Vec<Command>) {
    let mut commands = std::mem::replace(&mut house.commands, sen_chassis::call::channel(1).1);
    let service = async {
        let mut asked = Vec::new();
        for _ in 0..answers {
            let (command, reply) = commands.next().await.expect("a command");
            let record = Box::new(alert("f", 1, Field::PublicServices));
            let _ = reply.send(CommandOutcome::Done(Changed::Alert(record)));
            asked.push(command);
        }
        asked
    };
    let answer = tokio::join!(house.post(PATH, &[], body), service);
    house.commands = commands;
    answer
}

#[tokio::test]
async fn prometheus_can_send_its_alerts_here() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    let ((status, body), commands) = told(&mut house, FIRING, 2).await;
    assert_eq!((status, body), (200, json!("")));
    let foreign = |command: &Command| match &command.order {
        Order::Foreign { told } => told.clone(),
        other => panic!("{other:?}"),
    };
    let (first, second) = (foreign(&commands[0]), foreign(&commands[1]));
    assert_eq!(
        (first.system.as_str(), first.name.as_str()),
        ("alertmanager", "HighRequestLatency")
    );
    assert_eq!((first.severity, first.field), (Severity::CRITICAL, Field::PublicServices));
    assert_eq!(
        first.text,
        Text::new("Độ trễ yêu cầu cao trên 10.0.0.7:9100", "High request latency on 10.0.0.7:9100")
    );
    assert_eq!(first.started_at.to_string(), "2026-11-23T14:01:35.119+07:00");
    assert_eq!(first.ends_at.to_string(), "2026-11-23T14:06:05.119+07:00");
    assert_eq!((first.attributes["job"].as_str(), first.device.as_ref()), ("node", None));
    assert!(first.attributes["generatorURL"].starts_with("http://prometheus:9090/graph"));
    assert_eq!(second.device.map(|id| id.to_string()).as_deref(), Some("stn-my-tho"));
    assert_eq!((second.severity, second.field), (Severity::MEDIUM, Field::Environment));
    assert_eq!(second.area.map(|code| code.to_string()).as_deref(), Some("28261"));

    let (_, again) = told(&mut house, FIRING, 2).await;
    assert_eq!(again[0].idempotency_key, commands[0].idempotency_key);
    let (_, over) = told(&mut house, RESOLVED, 1).await;
    assert_eq!(foreign(&over[0]).key, first.key, "the same labels are the same alert");
    assert_ne!(over[0].idempotency_key, commands[0].idempotency_key);
    house.stop().await;
}

#[tokio::test]
async fn what_is_no_alert_is_told_as_alertmanager_tells_it_and_the_others_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    let mixed = r#"[{"labels":{}},{"labels":{"alertname":"X"},"unknown":{"a":1}}]"#;
    let ((status, mistake), commands) = told(&mut house, mixed, 1).await;
    assert_eq!((status, mistake), (400, json!("at least one label pair required")));
    assert_eq!(commands.len(), 1);
    for body in ["{}", "not json", r#"[{"labels":{"a":"b"},"startsAt":"yesterday"}]"#] {
        let (status, mistake) = house.post(PATH, &[], body).await;
        assert!(
            status == 400 && mistake.as_str().is_some_and(|said| said.contains("list of alerts")),
            "{mistake}"
        );
    }
    let many = format!("[{}{{}}]", r#"{"labels":{}},"#.repeat(1_000));
    let (status, mistake) = house.post(PATH, &[], &many).await;
    assert!(status == 400 && mistake.as_str().unwrap().contains("at most 1000"), "{mistake}");
    let long = format!(r#"[{{"labels":{{"a":"{}"}}}}]"#, "x".repeat(100_000));
    assert_eq!(house.post(PATH, &[], &long).await.0, 400, "above the limit of commands, and read");
    let huge = format!("[{}]", " ".repeat(2 << 20));
    assert_eq!(house.request_lossy(&format!(
        "POST {PATH} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{huge}",
        house.address, huge.len()
    )).await.0, 413);
    assert_eq!(house.post(PATH, &[], "[]").await, (200, json!("")));
    let (status, answer) = house.get("/api/v2/status").await;
    assert_eq!((status, &answer["cluster"]["status"]), (200, &json!("disabled")));
    assert!(answer["versionInfo"]["version"].is_string() && answer["uptime"].is_string());
    // Nobody answers any more: Prometheus has to send it again.
    house.commands = sen_chassis::call::channel(1).1;
    assert_eq!(house.post(PATH, &[], RESOLVED).await.0, 503);
    house.stop().await;
}

#[tokio::test]
async fn an_alert_is_a_message_of_cap_and_the_feed_leads_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let mut flood = rule("flood");
    flood.name = Text::new("Lũ vượt báo động III", "Flood above alarm III");
    let edition = Entry::Edition { rule: Box::new(flood), version: "1".into() };
    let stage = Entry::Stage { stage: 3, reason: "Lũ lên".into() };
    let records = vec![entry("edition-flood-1", 1, true, edition), entry("stage", 1, true, stage)];
    house.desk.append(records).await.unwrap();
    let with_area = |rev| {
        let mut record = alert("a", rev, Field::Environment);
        record.area = Some(AreaCode::new("28261").unwrap());
        record.drill = true;
        record
    };
    let mut shelved = alert("shelved", 1, Field::Environment);
    let at = Timestamp::from_millis(NOW_MS);
    let (by, reason) = ("Lan".to_owned(), "x".to_owned());
    shelved.shelving = Some(alert::Shelving { by, at, reason, until: at, one_shot: false });
    house.alert(vec![with_area(1), with_area(2), shelved]).await;
    house.until("/api/v1/alerts", |page| page["items"][0]["rev"] == 2).await;
    house.until("/api/v1/stage", |stage| stage["stage"] == 3).await;

    let (status, headers, body) = house.table("/api/v1/alerts/a/cap", "*/*").await;
    let document = String::from_utf8(body).unwrap();
    assert_eq!(
        (status, headers["content-type"].as_str()),
        (200, "application/cap+xml; charset=utf-8")
    );
    for wanted in [
        "<identifier>a.2</identifier>",
        "<status>Exercise</status>",
        "<msgType>Update</msgType>",
        "<references>sen@localhost,a.1,2026-11-23T14:02:05+07:00</references>",
        "<scope>Restricted</scope>",
        "<event>Lũ vượt báo động III</event>",
        "<event>Flood above alarm III</event>",
        "<instruction>1. Gọi</instruction>",
        "<valueName>capDoRuiRo</valueName>",
        "<areaDesc>Mỹ Tho, Phường</areaDesc>",
        "<polygon>10.",
        "<value>28261</value>",
    ] {
        assert!(document.contains(wanted), "{wanted}: {document}");
    }
    let (_, headers, body) = house.table("/api/v1/cap.atom", "*/*").await;
    let feed = String::from_utf8(body).unwrap();
    assert_eq!(headers["content-type"], "application/atom+xml; charset=utf-8");
    assert_eq!(feed.matches("<entry>").count(), 1, "nothing that is put aside: {feed}");
    assert!(
        feed.contains("href=\"/api/v1/alerts/a/cap\"") && feed.contains("[Diễn tập / Drill]"),
        "{feed}"
    );
    assert_eq!(house.get("/api/v1/alerts/unknown/cap").await.0, 404);
    house.stop().await;
}
