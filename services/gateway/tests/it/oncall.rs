//! Who is on call, what went to whom, and the page behind a signed link.

use std::sync::{Arc, Mutex};

use sen_chassis::Tasks;
use sen_gateway::RunError;
use sen_model::oncall::{Link, Roster};
use sen_model::*;
use serde_json::{Value, json};

use crate::house::{House, NOW_MS, alert, config, delivery};

/// Answers every question with `answer`, and keeps what was asked.
fn notify(
    house: &mut House,
    answer: impl Fn(&OnCallAsk) -> OnCallAnswer + Send + 'static,
) -> (Arc<Mutex<Vec<OnCallAsk>>>, Tasks<RunError>) {
    let mut questions = std::mem::replace(&mut house.oncall, sen_chassis::call::channel(1).1);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    let mut tasks = Tasks::new();
    tasks.spawn("notify service", async move {
        while let Some((question, reply)) = questions.next().await {
            let said = answer(&question);
            kept.lock().unwrap().push(question);
            let _ = reply.send(said);
        }
        Ok(())
    });
    (asked, tasks)
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW_MS + ms)
}

fn record(entry: OnCallEntry) -> OnCallAnswer {
    let (id, by) = ("entry-1".to_owned(), "Lan".to_owned());
    OnCallAnswer::Changed(Box::new(OnCallRecord { id, rev: 1, open: true, by, at: at(0), entry }))
}

#[tokio::test]
async fn who_is_on_call_can_be_asked_and_changed() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    let (asked, _tasks) = notify(&mut house, |question| match question {
        OnCallAsk::Roster => {
            let (people, teams, entries) = (Vec::new(), Vec::new(), Vec::new());
            OnCallAnswer::Roster(Box::new(Roster { at: at(0), people, teams, entries }))
        }
        OnCallAsk::Change { entry, .. } => record(entry.clone()),
        OnCallAsk::Cancel { id, .. } if id == "entry-1" => {
            let (person, reason) = ("lan".into(), String::new());
            record(OnCallEntry::Absence { person, from: at(0), until: at(1), reason })
        }
        OnCallAsk::PushKey => OnCallAnswer::PushKey("BKey".into()),
        _ => OnCallAnswer::Unknown,
    });
    assert_eq!(house.get("/api/v1/oncall").await.1["at"], at(0).to_string());
    assert_eq!(house.get("/api/v1/oncall/push-key").await.1, json!({"key": "BKey"}));
    asked.lock().unwrap().clear();
    let (from, until) = (at(0).to_string(), at(1_000).to_string());
    let keys = json!({"p256dh": "BPub_-", "auth": "c2Vj"});
    let endpoint = "https://push.example/abc";
    let cases = [
        (
            "overrides",
            json!({"by":"Lan","team":"water","person":"minh","from":from,"until":until}),
            OnCallEntry::Override {
                team: "water".into(),
                person: "minh".into(),
                from: at(0),
                until: at(1_000),
            },
        ),
        (
            "absences",
            json!({"by":"Lan","person":"minh","from":from,"until":until,"reason":"nghỉ phép"}),
            OnCallEntry::Absence {
                person: "minh".into(),
                from: at(0),
                until: at(1_000),
                reason: "nghỉ phép".into(),
            },
        ),
        (
            "push",
            json!({"by":"Lan","person":"minh","subscription":{"endpoint":endpoint,"keys":keys,"expirationTime":null}}),
            OnCallEntry::Push {
                person: "minh".into(),
                endpoint: endpoint.into(),
                p256dh: "BPub_-".into(),
                auth: "c2Vj".into(),
            },
        ),
    ];
    for (path, body, entry) in cases {
        let (path, key) = (format!("/api/v1/oncall/{path}"), [("idempotency-key", "k1")]);
        let (status, answer) = house.post(&path, &key, &body.to_string()).await;
        assert_eq!((status, &answer["id"]), (200, &json!("entry-1")), "{path} {answer}");
        let (idempotency_key, by) = ("k1".to_owned(), "Lan".to_owned());
        let wanted = OnCallAsk::Change { idempotency_key, by, at: at(0), entry };
        assert_eq!(asked.lock().unwrap().pop(), Some(wanted));
    }
    let by = r#"{"by":"Lan"}"#;
    assert_eq!(house.post("/api/v1/oncall/entries/entry-1/cancel", &[], by).await.0, 200);
    assert_eq!(house.post("/api/v1/oncall/entries/entry-2/cancel", &[], by).await.0, 404);
    house.stop().await;
}

#[tokio::test]
async fn what_cannot_be_meant_never_reaches_the_notify_service() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    let (asked, tasks) = notify(&mut house, |_| OnCallAnswer::Refused(Text::new("không", "no")));
    let (from, until) = (at(0).to_string(), at(1_000).to_string());
    let subscription = |endpoint: &str, auth: &str| json!({"by":"Lan","person":"minh","subscription":{"endpoint":endpoint,"keys":{"p256dh":"B","auth":auth}}});
    let cases = [
        ("overrides", json!({"by":"Lan","team":"w","person":"m","from":until,"until":from}), 400),
        ("overrides", json!({"by":"Lan","team":"","person":"m","from":from,"until":until}), 400),
        (
            "overrides",
            json!({"by":"Lan","team":"w","person":"m","from":from,"until":until,"why":1}),
            422,
        ),
        (
            "absences",
            json!({"by":"Lan","person":"m","from":at(-9).to_string(),"until":at(-1).to_string()}),
            400,
        ),
        ("push", subscription("http://push.example", "x"), 400),
        ("push", subscription("https://push.example", "a b"), 400),
        ("push", subscription("https://push.example", ""), 400),
    ];
    for (path, body, wanted) in cases {
        let path = format!("/api/v1/oncall/{path}");
        let (status, problem) =
            house.post(&path, &[("idempotency-key", "k")], &body.to_string()).await;
        assert_eq!(status, wanted, "{path} {body} {problem}");
    }
    assert!(asked.lock().unwrap().is_empty());
    let (status, problem) = house.get("/api/v1/oncall").await;
    assert_eq!((status, &problem["text"]["vi"]), (409, &json!("không")));
    drop(tasks);
    let (status, problem) = house.get("/api/v1/oncall").await;
    assert_eq!(status, 503, "{problem}");
    house.stop().await;
}

#[tokio::test]
async fn deliveries_stand_by_alert_and_person() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let mut hidden = alert("hidden", 1, Field::Security);
    hidden.out_of_service = Some("out-1".into());
    let mut worse = alert("b", 1, Field::Security);
    worse.severity = Severity::CRITICAL;
    house
        .alert(vec![
            alert("a", 1, Field::Security),
            worse,
            hidden,
            alert("over", 3, Field::Security),
        ])
        .await;
    let all = [
        delivery("d1", 1, "a", "lan"),
        delivery("d2", 1, "a", "minh"),
        delivery("d3", 1, "b", "lan"),
        delivery("d4", 1, "hidden", "lan"),
        delivery("d5", 1, "over", "lan"),
        delivery("d1", 2, "a", "lan"),
    ];
    house.deliveries.append(all.into()).await.unwrap();
    let ids = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let newest = |page: &Value| {
        page["items"]
            .as_array()
            .is_some_and(|items| items.last().is_some_and(|one| one["rev"] == 2))
    };
    let every = house.until("/api/v1/deliveries", newest).await;
    assert_eq!(ids(&every), ["d5", "d4", "d3", "d2", "d1"]);
    assert_eq!(ids(&house.get("/api/v1/deliveries?alert=a").await.1), ["d2", "d1"]);
    let (_, first) = house.get("/api/v1/deliveries?person=lan&limit=2").await;
    assert_eq!(ids(&first), ["d5", "d4"]);
    let next = first["next"].as_str().unwrap();
    let (_, second) = house.get(&format!("/api/v1/deliveries?person=lan&cursor={next}")).await;
    assert_eq!(ids(&second), ["d3", "d1"]);
    house
        .until("/api/v1/alerts?state=all", |page| page["items"].as_array().unwrap().len() == 4)
        .await;
    let (_, mine) = house.get("/api/v1/oncall/people/lan/alerts").await;
    assert_eq!(ids(&mine), ["b", "a"], "open ones, the worst first");
    assert_eq!(
        ids(&house.get("/api/v1/oncall/people/nobody/alerts").await.1),
        Vec::<String>::new()
    );
    let (_, story) = house.get("/api/v1/alerts/a").await;
    assert_eq!(story["deliveries"][0]["rev"], 2);
    assert_eq!(story["deliveries"].as_array().unwrap().len(), 2);
    house.stop().await;
}

fn link(used: bool) -> OnCallAnswer {
    let (alert, person) = (AlertId::from_text("a"), "lan".to_owned());
    OnCallAnswer::Link(Link { alert, person, until: at(60_000), used })
}

/// A form as a browser sends it from a page without referrers.
async fn press(house: &House, token: &str) -> (u16, String) {
    let host = house.address;
    let request = format!(
        "POST /a/{token} HTTP/1.1\r\nhost: {host}\r\norigin: null\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: 0\r\n\r\n"
    );
    let (status, headers, body) = house.request(&request).await;
    assert_eq!(
        (headers["cache-control"].as_str(), headers["referrer-policy"].as_str()),
        ("no-store", "no-referrer")
    );
    (status, body)
}

#[tokio::test]
async fn a_signed_link_shows_its_alert_and_one_button_and_only_the_button_acts() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    let mut raised = alert("a", 1, Field::Security);
    raised.text = Text::new("Nước <b>cao</b>", "High water");
    raised.area = Some(AreaCode::new("28261").unwrap());
    house.alert(vec![raised]).await;
    house.until("/api/v1/alerts", |page| page["items"][0]["id"] == "a").await;
    let (asked, _tasks) = notify(&mut house, |question| match question {
        OnCallAsk::Look { token } | OnCallAsk::Redeem { token, .. } if token == "good" => {
            link(false)
        }
        _ => OnCallAnswer::Unknown,
    });
    let mut commands = std::mem::replace(&mut house.commands, sen_chassis::call::channel(1).1);
    for _ in 0..2 {
        let (status, page) = house.get("/a/good").await;
        let page = page.as_str().unwrap();
        assert_eq!(status, 200);
        for wanted in [
            "Nước &lt;b&gt;cao",
            "High water",
            "Mỹ Tho, Phường",
            "Mức 2",
            "method=\"post\"",
            "<button>",
        ] {
            assert!(page.contains(wanted), "{wanted}: {page}");
        }
        assert!(!page.contains("<script") && !page.contains("good"), "{page}");
    }
    assert!(asked.lock().unwrap().iter().all(|ask| matches!(ask, OnCallAsk::Look { .. })));

    let answer = async {
        let (command, reply) = commands.next().await.expect("a command");
        let mut taken = alert("a", 2, Field::Security);
        let (by, note) = ("lan".to_owned(), String::new());
        taken.acknowledgement = Some(alert::Acknowledgement { by, at: at(0), note });
        let _ = reply.send(CommandOutcome::Done(Changed::Alert(Box::new(taken))));
        command
    };
    let ((status, page), command) = tokio::join!(press(&house, "good"), answer);
    assert_eq!(status, 200);
    assert!(page.contains("Đã ghi nhận: lan") && !page.contains("<button"), "{page}");
    assert_eq!((command.by.as_str(), command.at), ("lan", at(0)));
    assert!(
        command.idempotency_key.starts_with("link-") && !command.idempotency_key.contains("good")
    );
    let act = Act::Acknowledge { note: String::new() };
    assert_eq!(
        command.order,
        Order::Alert { alert: AlertId::from_text("a"), expected_rev: None, act }
    );

    for (status, page) in [press(&house, "forged").await, press(&house, &"x".repeat(600)).await] {
        assert!(status == 404 && page.contains("hết hạn"), "{status} {page}");
    }
    assert_eq!(house.get("/a/forged").await.0, 404);
    house.stop().await;
}

#[tokio::test]
async fn who_comes_second_is_told_who_was_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    let mut taken = alert("a", 2, Field::Security);
    let (by, note) = ("Minh <M>".to_owned(), String::new());
    taken.acknowledgement = Some(alert::Acknowledgement { by, at: at(0), note });
    house.alert(vec![taken]).await;
    house.until("/api/v1/alerts", |page| page["items"][0]["id"] == "a").await;
    // Nobody answers commands in this house: only what is known already can be told in time.
    let (_, _tasks) = notify(&mut house, |question| match question {
        OnCallAsk::Look { token } | OnCallAsk::Redeem { token, .. } => link(token == "used"),
        _ => OnCallAnswer::Unknown,
    });
    for token in ["fresh", "used"] {
        let (status, shown) = house.get(&format!("/a/{token}")).await;
        let pressed = press(&house, token).await;
        for (status, page) in [(status, shown.as_str().unwrap()), (pressed.0, &pressed.1)] {
            assert!(status == 200 && page.contains("Minh &lt;M&gt; đã nhận"), "{page}");
            assert_eq!(page.contains("Liên kết này đã dùng."), token == "used", "{page}");
            assert!(page.contains("acknowledged") && !page.contains("<button"), "{page}");
        }
    }
    house.stop().await;
}

#[tokio::test]
async fn a_use_that_could_not_be_noted_did_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    house.alert(vec![alert("a", 1, Field::Security)]).await;
    house.until("/api/v1/alerts", |page| page["items"][0]["id"] == "a").await;
    let (asked, _tasks) = notify(&mut house, |question| match question {
        OnCallAsk::Redeem { .. } => OnCallAnswer::Refused(Text::new("Chưa ghi được", "Not noted")),
        _ => link(false),
    });
    let (status, page) = press(&house, "good").await;
    assert!(
        status == 503 && page.contains("Chưa ghi được") && page.contains("Not noted"),
        "{page}"
    );
    assert!(!page.contains("đã dùng"), "{page}");
    assert_eq!(asked.lock().unwrap().len(), 1, "the answer stands by itself");
    house.stop().await;
}

#[tokio::test]
async fn a_link_that_was_used_in_vain_may_be_used_again_with_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    house.alert(vec![alert("a", 1, Field::Security)]).await;
    house.until("/api/v1/alerts", |page| page["items"][0]["id"] == "a").await;
    let used = Arc::new(Mutex::new(false));
    let (_, _tasks) = notify(&mut house, move |question| {
        let mut used = used.lock().unwrap();
        match question {
            OnCallAsk::Redeem { .. } => link(std::mem::replace(&mut *used, true)),
            _ => link(*used),
        }
    });
    let mut commands = std::mem::replace(&mut house.commands, sen_chassis::call::channel(1).1);
    // The alert service takes the command and is gone before it answers.
    let lost = async { commands.next().await.expect("a command").0 };
    let ((status, _), first) = tokio::join!(press(&house, "good"), lost);
    assert_eq!(status, 503);
    let (_, page) = house.get("/a/good").await;
    let page = page.as_str().unwrap();
    for wanted in ["đã dùng", "chưa có ai nhận", "not acknowledged", "<button"] {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    let over = async {
        let (command, reply) = commands.next().await.expect("a command");
        let _ = reply.send(CommandOutcome::Over(Box::new(alert("a", 3, Field::Security))));
        command
    };
    let ((status, page), second) = tokio::join!(press(&house, "good"), over);
    assert!(status == 200 && page.contains("đã kết thúc"), "{page}");
    assert_eq!(first.idempotency_key, second.idempotency_key);
    house.stop().await;
}
