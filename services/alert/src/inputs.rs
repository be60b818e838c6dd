//! What is heard: readings and events, each topic with a position of its own.

use sen_log::{Entry, Offset, ReadError, Reader, Topic};
use sen_model::{Event, ReadingBatch};

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
    readings: Topic<ReadingBatch>,
    events: Topic<Event>,
    reading: Reader<ReadingBatch>,
    eventing: Reader<Event>,
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
        let reading = readings.read_from(next.readings);
        // Of events older ones may have gone by age: what is kept is judged.
        let eventing = events.read_from(next.events.max(floors.events));
        Self { readings, events, reading, eventing }
    }

    /// The next to read.
    pub(crate) fn next(&self) -> Places {
        Places { readings: self.reading.position(), events: self.eventing.position() }
    }

    /// The last there are.
    pub(crate) fn heads(&self) -> Places {
        Places { readings: self.readings.head(), events: self.events.head() }
    }

    /// At most `most` of one topic; waits until there is something. Cancel-safe.
    pub(crate) async fn hear(&mut self, most: usize) -> Result<Heard, ReadError> {
        tokio::select! {
            heard = self.reading.next(most) => or_above_floor(heard, &mut self.reading, &self.readings)
                .map(Heard::Readings),
            heard = self.eventing.next(most) => or_above_floor(heard, &mut self.eventing, &self.events)
                .map(Heard::Events),
        }
    }

    /// At most `most` of one topic without waiting; nothing once the heads are reached.
    pub(crate) async fn rest(&mut self, most: usize) -> Result<Option<Heard>, ReadError> {
        while !self.next().are_beyond(self.heads()) {
            let heard = self.reading.available(most).await;
            let readings = or_above_floor(heard, &mut self.reading, &self.readings)?;
            if !readings.is_empty() {
                return Ok(Some(Heard::Readings(readings)));
            }
            let heard = self.eventing.available(most).await;
            let events = or_above_floor(heard, &mut self.eventing, &self.events)?;
            if !events.is_empty() {
                return Ok(Some(Heard::Events(events)));
            }
        }
        Ok(None)
    }
}

/// What was deleted unread cannot be judged any more; the rest can.
fn or_above_floor<T: sen_proto::Wire>(
    heard: Result<Vec<Entry<T>>, ReadError>,
    reader: &mut Reader<T>,
    topic: &Topic<T>,
) -> Result<Vec<Entry<T>>, ReadError> {
    match heard {
        Err(ReadError::BelowFloor { wanted, floor }) => {
            let topic_name = topic.name();
            tracing::error!(
                topic_name,
                wanted,
                floor,
                "records were deleted before they were judged"
            );
            *reader = topic.read_from(floor);
            Ok(Vec::new())
        }
        heard => heard,
    }
}
