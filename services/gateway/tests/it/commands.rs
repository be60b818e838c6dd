//! Acknowledging: what reaches the alert service, and how each of its answers is told.

use sen_chassis::Tasks;
use sen_gateway::RunError;
use sen_model::{Act, AlertId, Changed, CommandOutcome, Field, Order};

use crate::house::{House, alert, config};

const PATH: &str = "/api/v1/alerts/a/acknowledge";

#[tokio::test]
async fn a_command_arrives_whole_and_its_outcome_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut house = House::with(folder.path(), config()).await;
    let mut commands = std::mem::replace(&mut house.commands, sen_chassis::call::channel(1).1);
    let mut tasks: Tasks<RunError> = Tasks::new();
    tasks.spawn("alert service", async move {
        let record = || Box::new(alert("a", 2, Field::Security));
        let outcomes = [
            CommandOutcome::Done(Changed::Alert(record())),
            CommandOutcome::Stale(record()),
            CommandOutcome::Over(record()),
            CommandOutcome::Unknown,
            CommandOutcome::KeyReused,
        ];
        for (number, outcome) in outcomes.into_iter().enumerate() {
            let (command, reply) = commands.next().await.expect("a command");
            assert_eq!(command.idempotency_key, format!("key-{number}"));
            assert_eq!(command.by, "Lan");
            let order = Order::Alert {
                alert: AlertId::from_text("a"),
                expected_rev: (number != 1).then_some(1),
                act: Act::Acknowledge { note: "đã gọi".into() },
            };
            assert_eq!(command.order, order);
            reply.send(outcome).expect("somebody waits");
        }
        Ok(())
    });
    let body = r#"{"by":" Lan ","note":"đã gọi"}"#;
    for (number, wanted) in [200, 409, 409, 404, 422].into_iter().enumerate() {
        let key = format!("key-{number}");
        let headers = [("idempotency-key", key.as_str()), ("if-match", "\"1\"")];
        let headers = if number == 1 { &headers[..1] } else { &headers[..] };
        let (status, answer) = house.post(PATH, headers, body).await;
        assert_eq!(status, wanted, "{answer}");
        match status {
            200 => assert_eq!(answer["rev"], 2),
            409 => assert_eq!(answer["current"]["rev"], 2),
            _ => assert_eq!(answer["status"], wanted),
        }
    }
    tasks.join_all().await.unwrap();
    // The service has ended: nobody answers any more.
    let (status, problem) = house.post(PATH, &[("idempotency-key", "k")], body).await;
    assert_eq!((status, problem["status"].as_u64()), (503, Some(503)));
    house.stop().await;
}

#[tokio::test]
async fn commands_that_cannot_be_meant_do_not_reach_anybody() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::with(folder.path(), config()).await;
    let key = ("idempotency-key", "k1");
    let good = r#"{"by":"Lan"}"#;
    let long = format!(r#"{{"by":"Lan","note":"{}"}}"#, "x".repeat(1_001));
    let huge = format!(r#"{{"by":"Lan","note":"{}"}}"#, "x".repeat(20_000));
    type Headers<'a> = &'a [(&'a str, &'a str)];
    let cases: [(Headers<'_>, &str, u16); 9] = [
        (&[], good, 400),
        (&[("idempotency-key", "a b")], good, 400),
        (&[key, ("if-match", "\"x\"")], good, 400),
        (&[key], r#"{"by":"  "}"#, 400),
        (&[key], r#"{"by":"a\nb"}"#, 400),
        (&[key], &long, 400),
        (&[key], &huge, 413),
        (&[key], "not json", 400),
        (&[key], r#"{"by":"Lan","severity":1}"#, 422),
    ];
    for (headers, body, wanted) in cases {
        let (status, problem) = house.post(PATH, headers, body).await;
        let shown: String = body.chars().take(40).collect();
        assert_eq!(
            (status, problem["status"].as_u64()),
            (wanted, Some(wanted.into())),
            "{shown} {problem}"
        );
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
    }
    let foreign = [key, ("origin", "http://evil.example")];
    assert_eq!(house.post(PATH, &foreign, good).await.0, 403);
    house.stop().await;
}
