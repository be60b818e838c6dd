//! The log against a naive model: a vector of records and a few numbers.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use sen_log::{Cursor, Log, Offset, ReadError, Reader, Retention, Topic};

use crate::notebook::{Clock, Note, config, drain, runtime};

const SEGMENT_BYTES: u64 = 700;
const RETENTION: Retention = Retention { keep_ms: 1_000, keep_bytes: 5_000 };
/// Bytes of a frame before its payload, and of a segment before its first frame.
const FRAME_BYTES: u64 = 32;
const CURSORS: [&str; 2] = ["first", "second"];

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Vec<u8>>),
    Read { limit: usize },
    Seek { permille: u64 },
    Save { cursor: usize, permille: u64, state: Vec<u8> },
    Wait { ms: i64 },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let record = || vec(any::<u8>(), 0..200);
    let step = prop_oneof![
        6 => vec(record(), 1..5).prop_map(Step::Append),
        4 => (1..20_usize).prop_map(|limit| Step::Read { limit }),
        1 => (0..1_000_u64).prop_map(|permille| Step::Seek { permille }),
        3 => (0..CURSORS.len(), 0..=1_000_u64, record())
            .prop_map(|(cursor, permille, state)| Step::Save { cursor, permille, state }),
        2 => (0..1_500_i64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Reopen),
    ];
    vec(step, 1..60)
}

/// The naive model.
#[derive(Default)]
struct Model {
    /// Record n has offset n + 1; with the time it was appended.
    records: Vec<(Vec<u8>, i64)>,
    cursors: BTreeMap<&'static str, (Offset, Vec<u8>)>,
    floor: Offset,
    position: Offset,
}

impl Model {
    fn head(&self) -> Offset {
        self.records.len() as u64
    }

    /// What a reader at `from` must get next.
    fn from(&self, from: Offset, limit: usize) -> Vec<(Offset, Note)> {
        let records = self.records.iter().map(|(record, _)| Note(record.clone()));
        (1..).zip(records).skip(from as usize - 1).take(limit).collect()
    }

    /// `floor` may have risen to here only if the cursors and the retention allow it.
    fn check_floor(&mut self, floor: Offset, now_ms: i64) -> Result<(), TestCaseError> {
        prop_assert!(floor >= self.floor, "the floor never sinks");
        let lowest = CURSORS.map(|name| self.cursors.get(name).map_or(0, |saved| saved.0));
        let lowest = lowest.into_iter().min().unwrap_or(0);
        if floor > self.floor {
            prop_assert!(floor <= lowest, "floor {floor} above the lowest cursor {lowest}");
            let from_old = &self.records[self.floor as usize - 1..];
            let bytes: u64 = from_old.iter().map(|(it, _)| it.len() as u64 + FRAME_BYTES).sum();
            let youngest_deleted = self.records[floor as usize - 2].1;
            let is_old = now_ms - youngest_deleted >= RETENTION.keep_ms;
            // Headers of segments count too, so a little less than the limit may do.
            prop_assert!(is_old || bytes + bytes / 2 > RETENTION.keep_bytes, "{bytes} bytes");
        }
        self.floor = floor;
        Ok(())
    }
}

/// The real parts.
struct Real {
    log: Log,
    topic: Topic<Note>,
    cursors: Vec<Cursor>,
    reader: Reader<Note>,
}

impl Real {
    fn open(folder: &Path, clock: &Clock, position: Offset) -> Self {
        let clock = clock.clone();
        let now_ms = move || clock.now_ms();
        let log = Log::open_with_clock(folder.to_owned(), config(SEGMENT_BYTES), now_ms).unwrap();
        let topic = log.topic::<Note>("model", RETENTION).unwrap();
        let cursors = CURSORS.iter().map(|name| log.cursor(&topic, name).unwrap()).collect();
        let reader = topic.read_from(position);
        Self { log, topic, cursors, reader }
    }
}

async fn take(
    step: Step,
    real: &mut Real,
    model: &mut Model,
    (folder, clock): (&Path, &Clock),
) -> Result<(), TestCaseError> {
    match step {
        Step::Append(records) => {
            let first = model.head() + 1;
            model.records.extend(records.iter().map(|it| (it.clone(), clock.now_ms())));
            let offsets = real.topic.append(records.into_iter().map(Note).collect()).await.unwrap();
            prop_assert_eq!(offsets, first..model.head() + 1);
        }
        Step::Read { limit } => match real.reader.available(limit).await {
            Ok(entries) => {
                let read = entries.iter().map(|it| (it.offset, (*it.record).clone()));
                let read: Vec<_> = read.collect();
                prop_assert!(!read.is_empty() || model.position > model.head());
                prop_assert_eq!(&read, &model.from(model.position, read.len()));
                model.position += read.len() as u64;
                prop_assert_eq!(real.reader.position(), model.position);
            }
            Err(ReadError::BelowFloor { wanted, floor }) => {
                prop_assert_eq!(wanted, model.position);
                prop_assert!(wanted < floor && floor <= real.topic.floor());
                model.position = floor;
                real.reader = real.topic.read_from(floor);
            }
            Err(error) => prop_assert!(false, "{error}"),
        },
        Step::Seek { permille } => {
            let floor = real.topic.floor();
            model.position = floor + (model.head() + 1 - floor) * permille / 1_000;
            real.reader = real.topic.read_from(model.position);
        }
        Step::Save { cursor, permille, state } => {
            // Owners only go forward: what is below a position may be gone once it was saved.
            let before = model.cursors.get(CURSORS[cursor]).map_or(1, |saved| saved.0);
            let next = before + (model.head() + 1 - before) * permille / 1_000;
            real.cursors[cursor].save(next, state.clone()).await.unwrap();
            model.cursors.insert(CURSORS[cursor], (next, state));
        }
        Step::Wait { ms } => clock.advance_ms(ms),
        Step::Reopen => {
            let epoch = real.topic.epoch();
            real.log.close().await;
            // What the keeper still deleted before it stopped.
            model.check_floor(real.topic.floor(), clock.now_ms())?;
            *real = Real::open(folder, clock, model.position);
            prop_assert_eq!(real.topic.epoch(), epoch);
            prop_assert_eq!(real.topic.head(), model.head());
            // Its keeper may be at work already: the floor is where it was, or where it may be.
            model.check_floor(real.topic.floor(), clock.now_ms())?;
        }
    }
    Ok(())
}

async fn check(real: &Real, model: &mut Model, clock: &Clock) -> Result<(), TestCaseError> {
    prop_assert_eq!(real.topic.head(), model.head());
    model.check_floor(real.topic.floor(), clock.now_ms())?;
    for (name, cursor) in CURSORS.iter().zip(&real.cursors) {
        let saved = cursor.load().unwrap().map(|saved| (saved.next, saved.state));
        prop_assert_eq!(saved.as_ref(), model.cursors.get(name));
    }
    Ok(())
}

proptest! {
    // Every case writes a real log with several fsyncs.
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn the_log_is_a_vector_that_forgets_only_what_it_may(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        runtime().block_on(async {
            let clock = Clock::default();
            let mut model = Model { floor: 1, position: 1, ..Model::default() };
            let mut real = Real::open(folder.path(), &clock, 1);
            for step in steps {
                take(step, &mut real, &mut model, (folder.path(), &clock)).await?;
                check(&real, &mut model, &clock).await?;
            }
            real.log.close().await;
            model.check_floor(real.topic.floor(), clock.now_ms())?;
            let rest = drain(&mut real.topic.read_from(model.floor)).await;
            prop_assert_eq!(rest, model.from(model.floor, usize::MAX));
            Ok(())
        })?;
    }
}
