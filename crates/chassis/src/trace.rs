//! The way of one packet in many through the stages, for an OpenTelemetry collector.
//!
//! Nothing is carried along with a packet. Every stage, in whatever process, computes the same id
//! from what it sees of it; the id says whether the packet is traced at all, names the trace, and
//! with the name of a stage the span. So a stage knows its parent without having been told.
//!
//! Like logs and metrics, traces go one way out of a process: [`install`] says where to, and
//! [`begin`] is called where something is done. Where none are wanted it does nothing at all.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tokio::sync::mpsc;

use crate::Clock;

mod collector;
mod export;

pub use collector::BuildError;
pub use export::{Export, Process};

/// Spans that wait for the collector, at most; further ones are counted and dropped.
const QUEUE_SPANS: usize = 4_096;
/// A packet heard longer ago than this is not traced: it is read again after a loss, and what a
/// stage did then is not its way.
const OLDEST_MS: i64 = 3_600_000;

/// The traces of this process.
static TRACES: OnceLock<Traces> = OnceLock::new();

/// Where spans of this process go from now on. Only the first call counts; tells whether it was.
pub fn install(traces: Traces) -> bool {
    TRACES.set(traces).is_ok()
}

/// Begins the spans of a stage over some packets: the id of each, and when it was heard in
/// milliseconds UTC. What is not traced costs what its id costs; while no traces are installed
/// not even that, since `packets` is not looked at.
pub fn begin(stage: &Stage, packets: impl IntoIterator<Item = (u128, i64)>) -> Spans {
    TRACES.get().map_or_else(Spans::default, |traces| traces.begin(stage, packets))
}

/// A stage of the way.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// What its spans are called.
    pub name: &'static str,
    /// The stage whose work it takes up; none for the first: its spans begin when the packet was
    /// heard.
    pub after: Option<&'static str>,
}

/// Makes spans; cheap to clone.
#[derive(Clone, Debug)]
pub struct Traces {
    clock: Clock,
    one_in: u64,
    queue: mpsc::Sender<SpanData>,
}

impl Traces {
    /// One packet in `one_in` (at least 1), with the receiving end of its queue.
    pub(crate) fn new(one_in: u64, clock: Clock) -> (Self, mpsc::Receiver<SpanData>) {
        let (queue, spans) = mpsc::channel(QUEUE_SPANS);
        (Self { clock, one_in: one_in.max(1), queue }, spans)
    }

    /// As the function of this name.
    pub fn begin(&self, stage: &Stage, packets: impl IntoIterator<Item = (u128, i64)>) -> Spans {
        let is_traced = |id: u128| (id as u64).is_multiple_of(self.one_in);
        let mut open = Vec::new();
        // The clock is read when the first is found.
        let mut now_us = None;
        for (index, (id, heard_ms)) in packets.into_iter().enumerate() {
            if !is_traced(id) {
                continue;
            }
            let now_us = *now_us.get_or_insert_with(|| self.clock.now_us());
            if now_us / 1_000 - heard_ms > OLDEST_MS {
                continue;
            }
            let start_us = if stage.after.is_none() { heard_ms * 1_000 } else { now_us };
            open.push(Span { index, id, stage: *stage, start_us, attributes: Vec::new() });
        }
        let traces = (!open.is_empty()).then(|| self.clone());
        Spans { open, traces }
    }

    /// Hands a span over, or counts it where the queue is full.
    fn give(&self, span: Span, end_us: i64) {
        metrics::counter!("sen_trace_spans_total").increment(1);
        if self.queue.try_send(span.end(end_us)).is_err() {
            lost("queue", 1);
        }
    }
}

/// Counts spans nobody will see.
fn lost(why: &'static str, spans: usize) {
    metrics::counter!("sen_trace_spans_lost_total", "why" => why).increment(spans as u64);
}

/// The spans of one stage over some packets, from their beginning to [`end`](Self::end). Dropped
/// without it, they are nobody's: what was begun has failed and will be done again.
#[derive(Debug, Default)]
#[must_use = "spans that do not end are not told"]
pub struct Spans {
    open: Vec<Span>,
    traces: Option<Traces>,
}

impl Spans {
    /// The span of the packet at `index` of those it was begun over, if that one is traced.
    pub fn of(&mut self, index: usize) -> Option<&mut Span> {
        self.open.iter_mut().find(|span| span.index == index)
    }

    /// Every span, with the index of its packet.
    pub fn each(&mut self) -> impl Iterator<Item = (usize, &mut Span)> {
        self.open.iter_mut().map(|span| (span.index, span))
    }

    /// Takes the spans of another call along, so that both end together; as many as the queue to
    /// the collector could take.
    pub fn join(&mut self, mut others: Self) {
        let room = QUEUE_SPANS.saturating_sub(self.open.len());
        let beyond = others.open.len().saturating_sub(room);
        if beyond > 0 {
            others.open.truncate(room);
            lost("queue", beyond);
        }
        self.open.append(&mut others.open);
        self.traces = self.traces.take().or(others.traces);
    }

    /// What was begun is done.
    pub fn end(self) {
        let Some(traces) = self.traces else { return };
        let now_us = traces.clock.now_us();
        self.open.into_iter().for_each(|span| traces.give(span, now_us));
    }
}

/// One stage's part in the way of one packet.
#[derive(Debug)]
pub struct Span {
    index: usize,
    id: u128,
    stage: Stage,
    start_us: i64,
    attributes: Vec<KeyValue>,
}

impl Span {
    /// Says something of it.
    pub fn tell(&mut self, name: &'static str, value: impl Into<opentelemetry::Value>) {
        self.attributes.push(KeyValue::new(name, value));
    }

    fn end(self, end_us: i64) -> SpanData {
        let Self { id, stage, start_us, attributes, .. } = self;
        let span_id = |stage: &str| SpanId::from(span_id(id, stage));
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(id),
                span_id(stage.name),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: stage.after.map_or(SpanId::INVALID, span_id),
            parent_span_is_remote: stage.after.is_some(),
            span_kind: SpanKind::Consumer,
            name: stage.name.into(),
            start_time: time(start_us),
            // A clock that was set back must not make it end before it began.
            end_time: time(end_us.max(start_us)),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::builder("sen").build(),
        }
    }
}

fn time(us: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(us.unsigned_abs())
}

/// The id of a stage's span in a trace: FNV-1a over both, mixed; never 0.
fn span_id(trace: u128, stage: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let bytes = trace.to_be_bytes().into_iter().chain(stage.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, step);
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).max(1)
}

#[cfg(test)]
mod tests;
