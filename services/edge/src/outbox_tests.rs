//! The bookkeeping step by step, and against a line that breaks, refuses and forgets by chance.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn device(name: &str) -> DeviceId {
    name.parse().unwrap()
}

fn piece(text: &str) -> Piece {
    Piece { text: text.to_owned(), says: 1 }
}

/// The next packet, as device and payload.
fn sent(outbox: &mut Outbox) -> Option<(String, String)> {
    let (device, packet) = outbox.send()?;
    Some((device.to_string(), String::from_utf8(packet.payload()).unwrap()))
}

fn pair(device: &str, payload: &str) -> Option<(String, String)> {
    Some((device.to_owned(), payload.to_owned()))
}

#[test]
fn of_one_device_one_packet_is_on_its_way_and_the_others_gather() {
    let (mut outbox, a, b) = (Outbox::new(5), device("dev-a"), device("dev-b"));
    outbox.take(5, &a, vec![piece("1")]);
    assert_eq!(sent(&mut outbox), pair("dev-a", "[1]"));
    outbox.take(6, &a, vec![piece("2"), piece("3")]);
    outbox.take(7, &b, vec![piece("9")]);
    outbox.take(8, &a, vec![piece("4")]);
    assert_eq!(sent(&mut outbox), pair("dev-b", "[9]"));
    assert_eq!(sent(&mut outbox), None, "dev-a waits for its first packet");
    assert_eq!((outbox.on_their_way(), outbox.bytes()), (2, 5));
    assert_eq!(outbox.settle(&a).unwrap().says, 1);
    assert_eq!(sent(&mut outbox), pair("dev-a", "[2,3,4]"));
    assert_eq!(outbox.settle(&a).unwrap().says, 3);
    outbox.settle(&b);
    assert_eq!((outbox.on_their_way(), outbox.bytes(), outbox.position()), (0, 0, 9));
}

#[test]
fn the_position_is_the_lowest_record_of_which_anything_is_open() {
    let (mut outbox, a, b) = (Outbox::new(1), device("dev-a"), device("dev-b"));
    assert_eq!(outbox.position(), 1);
    outbox.take(1, &a, vec![piece("1")]);
    outbox.take(2, &b, vec![piece("2")]);
    outbox.take(3, &a, vec![]);
    outbox.pass(10);
    assert_eq!(outbox.position(), 1);
    let _ = (sent(&mut outbox), sent(&mut outbox));
    outbox.settle(&b);
    assert_eq!(outbox.position(), 1, "the first is still on its way");
    outbox.settle(&a);
    assert_eq!(outbox.position(), 10);
    assert!(outbox.settle(&a).is_none(), "an answer to nothing settles nothing");
    assert_eq!(outbox.position(), 10);
}

#[test]
fn after_a_lost_line_what_was_on_its_way_goes_first_and_in_order() {
    let (mut outbox, a, b, c) = (Outbox::new(1), device("dev-a"), device("dev-b"), device("dev-c"));
    outbox.take(1, &b, vec![piece("1")]);
    outbox.take(2, &a, vec![piece("2")]);
    let _ = (sent(&mut outbox), sent(&mut outbox));
    outbox.take(3, &b, vec![piece("3")]);
    outbox.take(4, &c, vec![piece("4")]);
    outbox.line_lost();
    assert_eq!((outbox.on_their_way(), outbox.position()), (0, 1));
    assert!(outbox.settle(&b).is_none(), "an answer of the old line means nothing");
    let order = [sent(&mut outbox), sent(&mut outbox), sent(&mut outbox), sent(&mut outbox)];
    let wanted = [pair("dev-b", "[1]"), pair("dev-a", "[2]"), pair("dev-c", "[4]"), None];
    assert_eq!(order, wanted);
}

#[test]
fn a_packet_is_no_longer_than_what_a_quarantine_keeps_of_it() {
    let (mut outbox, a) = (Outbox::new(1), device("dev-a"));
    outbox.take(1, &a, vec![piece(&"7".repeat(1_000)); 9]);
    let mut says = Vec::new();
    while let Some((_, payload)) = sent(&mut outbox) {
        assert!(payload.len() <= KEPT_PAYLOAD_BYTES);
        says.push(outbox.settle(&a).unwrap().says);
    }
    assert_eq!((says, outbox.bytes(), outbox.position()), (vec![4, 4, 1], 0, 2));
    // One piece that is longer goes alone.
    outbox.take(2, &a, vec![piece("1"), piece(&"7".repeat(9_000)), piece("2")]);
    for length in [3, 9_002, 3] {
        assert_eq!(sent(&mut outbox).unwrap().1.len(), length);
        outbox.settle(&a);
    }
    outbox.take(3, &a, vec![piece("1"); 65]);
    (sent(&mut outbox), assert_eq!(outbox.settle(&a).unwrap().says, 64, "as many as are taken"));
}

/// What happens next to the commune, the line and the province.
#[derive(Clone, Debug)]
enum Step {
    /// A record of this device with so many readings, some of them long.
    Record(u8, u8, bool),
    /// A packet leaves.
    Send,
    /// The province keeps the oldest packet it has heard; whether its answer arrives.
    Keep(bool),
    /// The province refuses the oldest packet it has heard, for now: the line is given up.
    RefuseForNow,
    LineLost,
    /// `kill -9` here; whether the position had just been saved.
    Crash(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8, 0..4_u8, any::<bool>()).prop_map(|(d, n, long)| Step::Record(d, n, long)),
        6 => Just(Step::Send),
        6 => any::<bool>().prop_map(Step::Keep),
        1 => Just(Step::RefuseForNow),
        1 => Just(Step::LineLost),
        1 => any::<bool>().prop_map(Step::Crash),
    ]
}

/// A commune with its log, and what the province has kept.
struct World {
    /// Of each record its device and its readings, numbered through.
    log: Vec<(u8, Vec<Piece>)>,
    outbox: Outbox,
    saved: Offset,
    /// On the line, in order.
    line: VecDeque<(DeviceId, String)>,
    kept: BTreeMap<String, Vec<u64>>,
}

impl World {
    fn begin(&mut self, from: Offset) {
        self.outbox = Outbox::new(from);
        self.line.clear();
        for offset in from..=self.log.len() as u64 {
            self.read(offset);
        }
    }

    fn read(&mut self, offset: Offset) {
        let (of, pieces) = &self.log[offset as usize - 1];
        self.outbox.take(offset, &device(&format!("dev-{of}")), pieces.clone());
    }

    fn send(&mut self) {
        if let Some((device, packet)) = self.outbox.send() {
            let payload = String::from_utf8(packet.payload()).unwrap();
            self.line.push_back((device, payload));
        }
    }

    fn keep(&mut self, answer_arrives: bool) {
        let Some((device, payload)) = self.line.pop_front() else { return };
        let kept = self.kept.entry(device.to_string()).or_default();
        kept.extend(serde_json::from_str::<Vec<u64>>(&payload).unwrap());
        match answer_arrives {
            true => drop(self.outbox.settle(&device)),
            false => self.lose_line(),
        }
    }

    fn lose_line(&mut self) {
        self.line.clear();
        self.outbox.line_lost();
    }

    /// Of each device what was kept of it, each reading where it was heard first.
    fn firsts(&self, of: u8) -> Vec<u64> {
        let mut seen = BTreeSet::new();
        let kept = self.kept.get(&format!("dev-{of}")).map_or(&[][..], Vec::as_slice);
        kept.iter().copied().filter(|reading| seen.insert(*reading)).collect()
    }

    /// What the log has of a device, to the offset.
    fn logged(&self, of: u8, below: Offset) -> Vec<u64> {
        let records = self.log.iter().take(below as usize - 1).filter(|(device, _)| *device == of);
        let number = |piece: &Piece| piece.text.trim().parse::<u64>().unwrap();
        records.flat_map(|(_, pieces)| pieces.iter().map(number)).collect()
    }
}

proptest! {
    #[test]
    fn whatever_happens_each_device_is_kept_in_order_and_nothing_open_is_passed(
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let (outbox, line) = (Outbox::new(1), VecDeque::new());
        let mut world = World { log: vec![], outbox, saved: 1, line, kept: BTreeMap::new() };
        let mut number = 0;
        for step in steps {
            match step {
                Step::Record(of, count, long) => {
                    // Some are long, so that packets fill up.
                    let width = if long { 1_500 } else { 0 };
                    let mut next = || {
                        number += 1;
                        piece(&format!("{number:>width$}"))
                    };
                    let pieces = (0..count).map(|_| next()).collect();
                    world.log.push((of, pieces));
                    world.read(world.log.len() as u64);
                }
                Step::Send => world.send(),
                Step::Keep(answer_arrives) => world.keep(answer_arrives),
                Step::RefuseForNow | Step::LineLost => world.lose_line(),
                Step::Crash(just_saved) => {
                    if just_saved {
                        world.saved = world.outbox.position();
                    }
                    world.begin(world.saved);
                }
            }
            let position = world.outbox.position();
            for of in 0..4 {
                let (firsts, logged) = (world.firsts(of), world.logged(of, u64::MAX / 2));
                prop_assert!(logged.starts_with(&firsts), "in order, without a gap");
                let passed = world.logged(of, position).len();
                prop_assert!(firsts.len() >= passed, "the position passes only what is kept");
            }
            prop_assert_eq!(world.outbox.on_their_way(), world.line.len());
        }
        while world.outbox.position() <= world.log.len() as u64 {
            world.send();
            world.keep(true);
        }
        for of in 0..4 {
            prop_assert_eq!(world.firsts(of), world.logged(of, u64::MAX / 2), "all of it");
        }
        prop_assert_eq!(world.outbox.bytes(), 0);
    }
}
