//! What was read from the log and is not yet known to be kept above. Pure: no clock, no line.
//!
//! Of one device at most one packet is on its way, and the next one leaves only when that one is
//! settled. So whatever happens to the line, or to single packets, what is heard above of a device
//! begins at the first thing that is not settled and goes on in order; and the position to begin
//! at again is the lowest record of which anything is not settled.

use std::collections::{BTreeSet, HashMap, VecDeque};

use sen_model::DeviceId;
use sen_model::quarantine::KEPT_PAYLOAD_BYTES;

use crate::encode::Piece;

/// A position in the log.
type Offset = u64;

/// Longest payload that pieces are packed into, in bytes. Should the centre above quarantine a
/// packet, it keeps this much of it: so nothing of it is gone. One long event may be longer.
const PACKET_BYTES: usize = KEPT_PAYLOAD_BYTES;
/// Most pieces in one packet: the convention takes 64 events.
const PIECES_PER_PACKET: usize = 64;

/// The packets of one topic of the log, by device.
#[derive(Debug)]
pub(crate) struct Outbox {
    devices: HashMap<DeviceId, Queue>,
    /// Devices with something to send and nothing on its way; the longest waiting first.
    ready: VecDeque<DeviceId>,
    /// Of each packet that is not settled the lowest record it has something of, and its number.
    unsettled: BTreeSet<(Offset, u64)>,
    /// The first offset that was not taken yet.
    next: Offset,
    /// The number of the next packet.
    number: u64,
    bytes: usize,
    on_their_way: usize,
}

#[derive(Debug, Default)]
struct Queue {
    on_its_way: Option<Packet>,
    waiting: VecDeque<Packet>,
}

/// Pieces of one device that are sent and settled as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// The lowest record it has something of.
    first: Offset,
    number: u64,
    pieces: usize,
    /// It was on its way before: what is sent again is the same to the byte.
    was_sent: bool,
    /// Readings or events in it.
    pub(crate) says: u64,
    /// The pieces with commas between.
    text: String,
}

impl Packet {
    /// What is published: an array.
    pub(crate) fn payload(&self) -> Vec<u8> {
        format!("[{}]", self.text).into_bytes()
    }

    fn has_room_for(&self, piece: &Piece) -> bool {
        let brackets_and_comma = 3;
        !self.was_sent
            && self.pieces < PIECES_PER_PACKET
            && self.text.len() + piece.text.len() + brackets_and_comma <= PACKET_BYTES
    }
}

impl Outbox {
    /// Empty, to be filled from the record at `next` on.
    pub(crate) fn new(next: Offset) -> Self {
        Self {
            devices: HashMap::new(),
            ready: VecDeque::new(),
            unsettled: BTreeSet::new(),
            next,
            number: 0,
            bytes: 0,
            on_their_way: 0,
        }
    }

    /// Takes what is to be forwarded of one record; records come in the order of the log.
    pub(crate) fn take(&mut self, offset: Offset, device: &DeviceId, pieces: Vec<Piece>) {
        self.next = self.next.max(offset + 1);
        for piece in pieces {
            self.bytes += piece.text.len();
            let queue = self.devices.entry(device.clone()).or_default();
            match queue.waiting.back_mut().filter(|packet| packet.has_room_for(&piece)) {
                Some(packet) => {
                    packet.text.push(',');
                    packet.text.push_str(&piece.text);
                    packet.pieces += 1;
                    packet.says += piece.says;
                }
                None => {
                    let idle = queue.on_its_way.is_none() && queue.waiting.is_empty();
                    let (number, Piece { text, says }) = (self.number, piece);
                    self.number += 1;
                    self.unsettled.insert((offset, number));
                    queue.waiting.push_back(Packet {
                        first: offset,
                        number,
                        pieces: 1,
                        was_sent: false,
                        says,
                        text,
                    });
                    if idle {
                        self.ready.push_back(device.clone());
                    }
                }
            }
        }
    }

    /// Everything below `next` was read, or is gone; there is nothing else of it to forward.
    pub(crate) fn pass(&mut self, next: Offset) {
        self.next = self.next.max(next);
    }

    /// The next packet to send and whose it is; from now on it is on its way.
    pub(crate) fn send(&mut self) -> Option<(DeviceId, &Packet)> {
        let device = self.ready.pop_front()?;
        let queue = self.devices.get_mut(&device)?;
        let packet = queue.waiting.pop_front()?;
        self.on_their_way += 1;
        Some((device, queue.on_its_way.insert(Packet { was_sent: true, ..packet })))
    }

    /// The packet of this device that is on its way, if there is one.
    pub(crate) fn on_its_way(&self, device: &DeviceId) -> Option<&Packet> {
        self.devices.get(device)?.on_its_way.as_ref()
    }

    /// The packet of this device that was on its way needs nothing any more; gives it.
    pub(crate) fn settle(&mut self, device: &DeviceId) -> Option<Packet> {
        let queue = self.devices.get_mut(device)?;
        let packet = queue.on_its_way.take()?;
        self.on_their_way -= 1;
        self.bytes -= packet.text.len() - (packet.pieces - 1);
        self.unsettled.remove(&(packet.first, packet.number));
        if queue.waiting.is_empty() {
            self.devices.remove(device);
        } else {
            self.ready.push_back(device.clone());
        }
        Some(packet)
    }

    /// The line is lost: nobody knows what became of what was on its way, so it is sent again, first.
    pub(crate) fn line_lost(&mut self) {
        let mut again = Vec::new();
        for (device, queue) in &mut self.devices {
            if let Some(packet) = queue.on_its_way.take() {
                again.push((packet.first, packet.number, device.clone()));
                queue.waiting.push_front(packet);
            }
        }
        again.sort_unstable();
        for (_, _, device) in again.into_iter().rev() {
            self.ready.push_front(device);
        }
        self.on_their_way = 0;
    }

    /// Where to begin again after a crash: everything below is settled.
    pub(crate) fn position(&self) -> Offset {
        self.unsettled.first().map_or(self.next, |(first, _)| *first)
    }

    /// How many packets are on their way.
    pub(crate) fn on_their_way(&self) -> usize {
        self.on_their_way
    }

    /// How many bytes are held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
