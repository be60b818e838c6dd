//! Pure: what a connection still has to deliver. A packet leaves it when the broker acknowledged
//! it; when the connection is lost, everything not acknowledged waits to be sent again.

use std::collections::VecDeque;

use crate::packet::Packet;

/// Most packets on the wire without an acknowledgement.
pub(crate) const IN_FLIGHT_MOST: usize = 16;

/// Where a packet is on its way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Waiting,
    /// Handed to the MQTT client, which has not numbered it yet.
    Handed,
    /// On the wire under this packet identifier.
    InFlight(u16),
}

/// Packets in order, at most `capacity` of them: a device's memory. When it is full, the oldest
/// packet that is not on its way makes room, as on a real logger.
#[derive(Debug)]
pub(crate) struct Outbox {
    packets: VecDeque<(Packet, Stage)>,
    capacity: usize,
    in_flight: usize,
    in_flight_most: usize,
}

impl Outbox {
    /// An empty outbox; `in_flight_most` must be below `capacity`, so that there is always one
    /// that can make room.
    pub(crate) fn new(capacity: usize, in_flight_most: usize) -> Self {
        Self { packets: VecDeque::new(), capacity, in_flight: 0, in_flight_most }
    }

    /// Takes a packet; tells whether an older one was given up for it.
    pub(crate) fn push(&mut self, packet: Packet) -> bool {
        let waiting = |entry: &(Packet, Stage)| entry.1 == Stage::Waiting;
        let full = self.packets.len() >= self.capacity;
        let oldest = full.then(|| self.packets.iter().position(waiting)).flatten();
        if let Some(oldest) = oldest {
            self.packets.remove(oldest);
        }
        self.packets.push_back((packet, Stage::Waiting));
        oldest.is_some()
    }

    /// The next packet to hand to the client, if the window has room.
    pub(crate) fn next(&mut self) -> Option<&Packet> {
        if self.in_flight >= self.in_flight_most {
            return None;
        }
        let next = self.packets.iter_mut().find(|entry| entry.1 == Stage::Waiting)?;
        next.1 = Stage::Handed;
        self.in_flight += 1;
        Some(&next.0)
    }

    /// The client gave the oldest packet it was handed this identifier.
    pub(crate) fn numbered(&mut self, id: u16) {
        if let Some(entry) = self.packets.iter_mut().find(|entry| entry.1 == Stage::Handed) {
            entry.1 = Stage::InFlight(id);
        }
    }

    /// The broker acknowledged the packet of this identifier; tells whether there was one.
    pub(crate) fn acknowledged(&mut self, id: u16) -> bool {
        let found = self.packets.iter().position(|entry| entry.1 == Stage::InFlight(id));
        let Some(found) = found else { return false };
        self.packets.remove(found);
        self.in_flight -= 1;
        true
    }

    /// The connection is lost: identifiers of the old one mean nothing on the next one.
    pub(crate) fn lost(&mut self) {
        for entry in &mut self.packets {
            entry.1 = Stage::Waiting;
        }
        self.in_flight = 0;
    }

    /// Whether everything is delivered.
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(number: usize) -> Packet {
        Packet { topic: format!("t/{number}"), payload: Vec::new() }
    }

    #[test]
    fn what_was_not_acknowledged_is_sent_again_in_order() {
        let mut outbox = Outbox::new(10, 3);
        (0..4).for_each(|number| assert!(!outbox.push(packet(number))));
        let sent: Vec<_> = std::iter::from_fn(|| outbox.next().cloned()).collect();
        assert_eq!(sent, [packet(0), packet(1), packet(2)]);
        [1, 2, 3].into_iter().for_each(|id| outbox.numbered(id));
        assert!(outbox.acknowledged(2) && !outbox.acknowledged(2) && !outbox.acknowledged(9));
        outbox.lost();
        let again: Vec<_> = std::iter::from_fn(|| outbox.next().cloned()).collect();
        assert_eq!(again, [packet(0), packet(2), packet(3)]);
        // An identifier of the lost connection acknowledges nothing on this one.
        assert!(!outbox.acknowledged(1));
    }

    proptest! {
        #[test]
        fn stays_within_its_bounds_and_loses_only_what_it_says(steps in prop::collection::vec(0..5u8, 1..400)) {
            let mut outbox = Outbox::new(8, 3);
            let (mut pushed, mut gone, mut delivered, mut id) = (0, 0, 0, 0);
            for step in steps {
                match step {
                    0 | 1 => {
                        gone += usize::from(outbox.push(packet(pushed)));
                        pushed += 1;
                    }
                    2 => if outbox.next().is_some() {
                        id += 1;
                        outbox.numbered(id);
                    },
                    3 => delivered += usize::from(outbox.acknowledged(id)),
                    _ => outbox.lost(),
                }
                prop_assert!(outbox.packets.len() <= 8 && outbox.in_flight <= 3);
                prop_assert_eq!(outbox.packets.len(), pushed - gone - delivered);
            }
        }
    }
}
