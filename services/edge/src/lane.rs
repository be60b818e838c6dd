//! One topic of the log on its way up: read by a cursor, packed by device, forgotten when kept.

use sen_log::{AppendError, Cursor, Entry, Offset, ReadError, Reader, Topic};
use sen_model::{DeviceId, Event, ReadingBatch};
use sen_proto::Wire;

use crate::encode::{self, Piece};
use crate::outbox::Outbox;

/// Records read at once.
const RECORDS_AT_ONCE: usize = 256;
/// Bytes of packets held in memory; when they are there, the log is not read on.
const HELD_BYTES: usize = 4 << 20;

/// A kind of record that is forwarded.
pub(crate) trait Forwarded: Wire {
    /// The last level of its MQTT topic.
    const LEVEL: &'static str;
    /// Who reports.
    fn device(&self) -> &DeviceId;
    /// What it says, as the convention has it.
    fn pieces(&self) -> Vec<Piece>;
}

impl Forwarded for ReadingBatch {
    const LEVEL: &'static str = "telemetry";
    fn device(&self) -> &DeviceId {
        &self.device
    }
    fn pieces(&self) -> Vec<Piece> {
        encode::telemetry(self)
    }
}

impl Forwarded for Event {
    const LEVEL: &'static str = "event";
    fn device(&self) -> &DeviceId {
        &self.device
    }
    fn pieces(&self) -> Vec<Piece> {
        vec![encode::event(self)]
    }
}

/// What devices are called above.
#[derive(Clone, Debug)]
pub(crate) struct Naming {
    /// As which device this centre reports for itself, here and above: the centre above has one of
    /// the same name.
    pub(crate) own: (DeviceId, DeviceId),
    /// Devices that mean something only here.
    pub(crate) kept_here: Vec<DeviceId>,
}

impl Naming {
    /// The name above; none if the device is not forwarded.
    fn above<'a>(&'a self, device: &'a DeviceId) -> Option<&'a DeviceId> {
        match &self.own {
            (here, above) if here == device => Some(above),
            _ if self.kept_here.contains(device) => None,
            _ => Some(device),
        }
    }
}

/// One topic on its way.
pub(crate) struct Lane<T> {
    topic: Topic<T>,
    cursor: Cursor,
    reader: Reader<T>,
    naming: Naming,
    pub(crate) outbox: Outbox,
    saved: Offset,
    is_save_failing: bool,
}

impl<T: Forwarded> Lane<T> {
    /// Goes on where the cursor stands, or with what the log still has.
    pub(crate) fn begin(
        topic: Topic<T>,
        cursor: Cursor,
        naming: Naming,
    ) -> Result<Self, ReadError> {
        let saved = cursor.load()?.map_or_else(|| topic.floor(), |saved| saved.next);
        let (reader, outbox) = (topic.read_from(saved), Outbox::new(saved));
        Ok(Self { topic, cursor, reader, naming, outbox, saved, is_save_failing: false })
    }

    /// Takes what the log has, as far as there is room.
    pub(crate) async fn fill(&mut self) -> Result<(), ReadError> {
        while self.has_room() {
            match self.reader.available(RECORDS_AT_ONCE).await {
                Ok(entries) if entries.is_empty() => return Ok(()),
                Ok(entries) => entries.iter().for_each(|entry| self.take(entry)),
                Err(ReadError::BelowFloor { wanted, floor }) => self.gone(wanted, floor),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn take(&mut self, Entry { offset, record }: &Entry<T>) {
        if let Some(device) = self.naming.above(record.device()) {
            self.outbox.take(*offset, device, record.pieces());
        }
        self.outbox.pass(offset + 1);
    }

    /// The disk was full, and the log had to let records go that are not forwarded.
    fn gone(&mut self, wanted: Offset, floor: Offset) {
        let topic = self.topic.name().to_owned();
        tracing::error!(
            topic,
            wanted,
            floor,
            "the disk was full: the centre above will not hear of records the log no longer has"
        );
        metrics::counter!("sen_upstream_gone_total", "topic" => topic).increment(floor - wanted);
        self.outbox.pass(floor);
        self.reader = self.topic.read_from(floor);
    }

    pub(crate) fn has_room(&self) -> bool {
        self.outbox.bytes() < HELD_BYTES
    }

    /// Waits until the log has more. Cancel-safe.
    pub(crate) async fn arrival(&mut self) -> Result<(), ReadError> {
        self.reader.arrival().await
    }

    /// How many records are not known to be kept above.
    pub(crate) fn behind(&self) -> u64 {
        (self.topic.head() + 1).saturating_sub(self.outbox.position())
    }

    /// Makes the position durable if it has moved. What fails is told once and tried again: until
    /// then the log keeps more than it needs to.
    pub(crate) async fn save(&mut self) {
        let position = self.outbox.position();
        if position == self.saved {
            return;
        }
        match self.cursor.save(position, Vec::new()).await {
            Ok(()) => {
                self.saved = position;
                self.is_save_failing = false;
            }
            Err(AppendError::Closed) => {}
            Err(error) => {
                if !std::mem::replace(&mut self.is_save_failing, true) {
                    tracing::warn!(%error, "cannot save how far was forwarded");
                }
            }
        }
    }
}
