//! What is heard: readings and events, each topic with a position of its own.
//!
//! Of what both topics have, what was received first is judged first, readings before events of the
//! same millisecond. So a replay judges them in one order, whichever it is read in. Live the order
//! is the same but for what is not yet in its topic when its turn comes: a record that became
//! durable later than one of the other topic that was received after it. What is made of readings
//! alone, or of events alone, does not depend on it.

use std::collections::VecDeque;

use sen_log::{Entry, Offset, ReadError, Reader, Topic};
use sen_model::{Event, ReadingBatch};
use sen_proto::Wire;

/// A place in each of the topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) readings: Offset,
    pub(crate) events: Offset,
}

impl Places {
    /// Whether these are the next to read beyond some heads.
    pub(crate) fn are_beyond(self, heads: Self) -> bool {
        self.readings > heads.readings && self.events > heads.events
    }
}

/// What was heard at once, of one of the topics.
pub(crate) enum Heard {
    Readings(Vec<Entry<ReadingBatch>>),
    Events(Vec<Entry<Event>>),
}

/// Both topics, read in order.
pub(crate) struct Inputs {
    readings: Line<ReadingBatch>,
    events: Line<Event>,
}

impl Inputs {
    /// From these places on, the next to read; none = from the first that is kept.
    pub(crate) fn new(
        readings: Topic<ReadingBatch>,
        events: Topic<Event>,
        next: Option<Places>,
    ) -> Self {
        let floors = Places { readings: readings.floor(), events: events.floor() };
        let next = next.unwrap_or(floors);
        // Of events older ones may have gone by age: what is kept is judged.
        let events_next = next.events.max(floors.events);
        Self {
            readings: Line::new(readings, next.readings),
            events: Line::new(events, events_next),
        }
    }

    /// The next to read.
    pub(crate) fn next(&self) -> Places {
        Places { readings: self.readings.next(), events: self.events.next() }
    }

    /// The last there are.
    pub(crate) fn heads(&self) -> Places {
        Places { readings: self.readings.topic.head(), events: self.events.topic.head() }
    }

    /// How many records of the readings are not judged; messages of them over NATS.
    pub(crate) fn readings_behind(&self) -> u64 {
        self.readings.topic.behind(self.readings.next())
    }

    /// At most `most` of one topic; waits until there is something. Cancel-safe.
    pub(crate) async fn hear(&mut self, most: usize) -> Result<Heard, ReadError> {
        loop {
            if let Some(heard) = self.rest(most).await? {
                return Ok(heard);
            }
            tokio::select! {
                arrived = self.readings.reader.arrival() => arrived?,
                arrived = self.events.reader.arrival() => arrived?,
            }
        }
    }

    /// At most `most` of one topic without waiting; nothing once the heads are reached.
    pub(crate) async fn rest(&mut self, most: usize) -> Result<Option<Heard>, ReadError> {
        self.readings.fetch(most).await?;
        self.events.fetch(most).await?;
        Ok(first_received(&mut self.readings.fetched, &mut self.events.fetched))
    }
}

/// One topic, with what was read of it and not yet judged.
struct Line<T> {
    topic: Topic<T>,
    reader: Reader<T>,
    fetched: VecDeque<Entry<T>>,
}

impl<T: Wire> Line<T> {
    fn new(topic: Topic<T>, next: Offset) -> Self {
        let reader = topic.read_from(next);
        Self { topic, reader, fetched: VecDeque::new() }
    }

    fn next(&self) -> Offset {
        self.fetched.front().map_or_else(|| self.reader.position(), |entry| entry.offset)
    }

    /// Reads at most `most`, unless something is left. What was deleted unread cannot be judged any
    /// more; the rest can.
    async fn fetch(&mut self, most: usize) -> Result<(), ReadError> {
        while self.fetched.is_empty() {
            match self.reader.available(most).await {
                Err(ReadError::BelowFloor { wanted, floor }) => {
                    let topic_name = self.topic.name();
                    tracing::error!(
                        topic_name,
                        wanted,
                        floor,
                        "records were deleted before they were judged"
                    );
                    self.reader = self.topic.read_from(floor);
                }
                entries => {
                    self.fetched = entries?.into();
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Takes the run of one topic that was received before what is next of the other.
fn first_received(
    readings: &mut VecDeque<Entry<ReadingBatch>>,
    events: &mut VecDeque<Entry<Event>>,
) -> Option<Heard> {
    let reading = readings.front().map(|entry| entry.record.received_at);
    let event = events.front().map(|entry| entry.record.received_at);
    let are_readings = reading.is_some_and(|reading| event.is_none_or(|event| reading <= event));
    if are_readings {
        let is_later = |entry: &Entry<ReadingBatch>| event < Some(entry.record.received_at);
        let run = readings.iter().position(|entry| event.is_some() && is_later(entry));
        return Some(Heard::Readings(readings.drain(..run.unwrap_or(readings.len())).collect()));
    }
    event?;
    let is_later = |entry: &Entry<Event>| reading <= Some(entry.record.received_at);
    let run = events.iter().position(|entry| reading.is_some() && is_later(entry));
    Some(Heard::Events(events.drain(..run.unwrap_or(events.len())).collect()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::fixtures::{at, batch, device_id};

    #[test]
    fn what_was_received_first_is_judged_first_whatever_is_read_at_once() {
        let reading = |(n, ms): (u64, &i64)| Entry {
            offset: n,
            record: Arc::new(batch("stn-a", *ms, Vec::new())),
        };
        let event = |(n, ms): (u64, &i64)| {
            let record = Event {
                id: format!("e-{n}"),
                device: device_id("stn-a"),
                kind: "flood".into(),
                event_time: at(*ms),
                received_at: at(*ms),
                text: String::new(),
                attributes: BTreeMap::new(),
            };
            Entry { offset: n, record: Arc::new(record) }
        };
        let readings: Vec<Entry<ReadingBatch>> =
            (1..).zip(&[10, 20, 20, 40, 30, 60]).map(reading).collect();
        let events: Vec<Entry<Event>> = (1..).zip(&[5, 20, 35, 35, 50]).map(event).collect();
        let expected = ["e1", "r1", "r2", "r3", "e2", "e3", "e4", "r4", "r5", "e5", "r6"];
        for at_once in 1..7 {
            let (mut readings, mut events) =
                (VecDeque::from(readings.clone()), VecDeque::from(events.clone()));
            let (mut read, mut heard) = ((VecDeque::new(), VecDeque::new()), Vec::new());
            loop {
                if read.0.is_empty() {
                    read.0.extend(readings.drain(..at_once.min(readings.len())));
                }
                if read.1.is_empty() {
                    read.1.extend(events.drain(..at_once.min(events.len())));
                }
                match first_received(&mut read.0, &mut read.1) {
                    None => break,
                    Some(Heard::Readings(run)) => {
                        heard.extend(run.iter().map(|entry| format!("r{}", entry.offset)));
                    }
                    Some(Heard::Events(run)) => {
                        heard.extend(run.iter().map(|entry| format!("e{}", entry.offset)));
                    }
                }
            }
            assert_eq!(heard, expected, "{at_once} at once");
        }
    }
}
