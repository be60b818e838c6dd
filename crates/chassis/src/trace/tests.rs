//! Spans as they leave the process, and what becomes of them when nobody takes them.

use std::collections::BTreeSet;

use sen_ports::Port;

use super::*;
use crate::Shutdown;
use crate::telemetry::Config;

const NOW_MS: i64 = 1_790_000_000_000;
const FIRST: Stage = Stage { name: "first", after: None };
const SECOND: Stage = Stage { name: "second", after: Some("first") };

fn drain(spans: &mut mpsc::Receiver<SpanData>) -> Vec<SpanData> {
    std::iter::from_fn(|| spans.try_recv().ok()).collect()
}

#[test]
fn stages_that_know_nothing_of_each_other_make_one_trace() {
    let clock = Clock::manual(NOW_MS);
    let (traces, mut spans) = Traces::new(1, clock.clone());
    // Another process: the same packet is seen by it as the second of two.
    let (others, mut of_others) = Traces::new(1, clock.clone());
    let mut first = traces.begin(&FIRST, [(7, NOW_MS - 20)]);
    first.of(0).unwrap().tell("device", "stn-my-tho");
    assert!(first.of(1).is_none());
    first.end();
    let second = others.begin(&SECOND, [(8, NOW_MS), (7, NOW_MS - 20)]);
    clock.set_ms(NOW_MS + 5);
    second.end();

    let first = drain(&mut spans).remove(0);
    let second = drain(&mut of_others).remove(1);
    assert_eq!(first.span_context.trace_id(), second.span_context.trace_id());
    assert_eq!(first.parent_span_id, SpanId::INVALID, "it begins the trace");
    assert_eq!(second.parent_span_id, first.span_context.span_id());
    assert_ne!(second.span_context.span_id(), first.span_context.span_id());
    assert_eq!(first.start_time, time((NOW_MS - 20) * 1_000), "from when the packet was heard");
    assert_eq!(first.end_time, time(NOW_MS * 1_000));
    assert_eq!(
        (second.start_time, second.end_time),
        (time(NOW_MS * 1_000), time((NOW_MS + 5) * 1_000))
    );
    assert_eq!(first.attributes, [KeyValue::new("device", "stn-my-tho")]);
}

#[test]
fn every_stage_traces_the_same_packets_and_the_rarer_are_among_the_more_frequent() {
    let traced = |one_in: u64| -> BTreeSet<usize> {
        let (traces, _spans) = Traces::new(one_in, Clock::manual(NOW_MS));
        let mut spans = traces.begin(&SECOND, (0..10_000).map(|id| (id, NOW_MS)));
        spans.each().map(|(index, _)| index).collect()
    };
    assert_eq!(traced(1_000).len(), 10);
    assert_eq!(traced(1_000), traced(1_000));
    assert!(traced(1_000).is_subset(&traced(100)));
}

#[test]
fn what_is_read_again_long_after_is_not_traced() {
    let (traces, _spans) = Traces::new(1, Clock::manual(NOW_MS));
    let mut spans = traces.begin(&SECOND, [(1, NOW_MS - OLDEST_MS - 1), (2, NOW_MS - OLDEST_MS)]);
    assert_eq!(spans.each().map(|(index, _)| index).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_span_whose_work_failed_is_told_by_nobody_and_a_clock_set_back_ends_none_early() {
    let clock = Clock::manual(NOW_MS);
    let (traces, mut spans) = Traces::new(1, clock.clone());
    drop(traces.begin(&SECOND, [(1, NOW_MS)]));
    let mut both = traces.begin(&SECOND, [(2, NOW_MS)]);
    both.join(traces.begin(&SECOND, [(3, NOW_MS)]));
    clock.set_ms(NOW_MS - 1_000);
    both.end();
    let told = drain(&mut spans);
    let ids: Vec<_> = told.iter().map(|span| span.span_context.trace_id()).collect();
    assert_eq!(ids, [TraceId::from(2u128), TraceId::from(3u128)]);
    assert!(told.iter().all(|span| span.end_time == span.start_time));
}

#[test]
fn a_full_queue_costs_spans_and_no_time() {
    let (traces, mut spans) = Traces::new(1, Clock::manual(NOW_MS));
    let ids = 1..=(QUEUE_SPANS as u128 + 9);
    traces.begin(&SECOND, ids.map(|id| (id, NOW_MS))).end();
    assert_eq!(drain(&mut spans).len(), QUEUE_SPANS);
}

#[tokio::test]
async fn a_dead_collector_keeps_nobody_from_stopping() {
    let nobody = Port::hold().unwrap();
    let config = Config { traces: format!("http://{}", nobody.address()), ..Config::default() };
    let process = Process { name: "sen-test".into(), instance: "1".into(), version: "0" };
    let made = Traces::from_config(&config, process, Clock::manual(NOW_MS)).unwrap();
    let (traces, export) = made.unwrap();
    let shutdown = Shutdown::new();
    let many = (0..1_000_000).map(|id| (id, NOW_MS));
    traces.begin(&SECOND, many).end();
    shutdown.request();
    export.run(shutdown).await.unwrap();
    traces.begin(&SECOND, [(1_000, NOW_MS)]).end();
}

#[test]
fn the_endpoint_may_be_given_in_each_usual_form() {
    let url = |traces: &str| Config { traces: traces.into(), ..Config::default() }.traces_url();
    let whole = Ok(Some("http://collector:4318/v1/traces".to_owned()));
    assert_eq!(url("http://collector:4318"), whole);
    assert_eq!(url("http://collector:4318/"), whole);
    assert_eq!(url("http://collector:4318/v1/traces"), whole);
    assert_eq!(url("https://a/otlp"), Ok(Some("https://a/otlp/v1/traces".into())));
    assert_eq!(url(""), Ok(None));
    for wrong in ["collector:4318", "grpc://collector:4317", "/v1/traces", "http://user:key@a/"] {
        assert!(url(wrong).is_err(), "{wrong}");
    }
}
