//! The file: its tables, how it is opened, checked, and moved aside when it is damaged.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use sen_model::{DeviceId, Metric, SeriesKey, Tier, Timestamp};

use crate::directory::Directory;
use crate::head::{Head, Shared};
use crate::point::{Point, SeriesId, quality_of_code};
use crate::{Checkpoint, Config, StoreError, tail, tiers};

/// The file's name in the folder.
pub(crate) const FILE: &str = "sen.db";
/// Stands beside the file after SQLite has called it corrupt while running: check all of it.
const SUSPECT: &str = "sen.db.suspect";
/// Files up to this size are checked in full at every start (some 50 ms); larger ones only when
/// they are suspect, since a start must not take minutes. SQLite itself survives crashes.
const CHECKED_BYTES: u64 = 32 << 20;
/// How long to wait for another program that has locked the file, such as a backup.
const BUSY: Duration = Duration::from_secs(1);
/// The highest number of a series that is believed: it is the length of arrays.
const MOST_SERIES: u32 = 16 << 20;
/// Damaged files kept beside the good one before the last name is used again.
const KEPT_DAMAGED: u32 = 100;

/// Version of the tables; a file of a higher one is refused, not touched.
const VERSION: i32 = 2;
/// `minute` and `quarter` are by window first: a minute's summaries of all series are one sequential
/// write, and retention is one range delete. `chunk` is by day first for the same reason, `hour` and
/// `day` by block. `stale` and `unsent` hold marks (see `tiers.rs`).
/// `series` holds the newest sealed point of each series; `state` the checkpoint and the floor.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, device TEXT NOT NULL, metric TEXT NOT NULL,
    event_time INTEGER, sequence INTEGER, value_bits INTEGER, quality INTEGER, received_at INTEGER);
CREATE TABLE IF NOT EXISTS tail (id INTEGER PRIMARY KEY, points BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS chunk (
    day INTEGER, series INTEGER, first_time INTEGER, first_sequence INTEGER,
    last_time INTEGER NOT NULL, count INTEGER NOT NULL, points BLOB NOT NULL,
    PRIMARY KEY (day, series, first_time, first_sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS minute (
    start INTEGER, series INTEGER, partial BLOB NOT NULL,
    PRIMARY KEY (start, series)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS quarter (
    start INTEGER, series INTEGER, partial BLOB NOT NULL,
    PRIMARY KEY (start, series)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hour (
    block INTEGER, series INTEGER, start INTEGER, partial BLOB NOT NULL,
    PRIMARY KEY (block, series, start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS day (
    block INTEGER, series INTEGER, start INTEGER, partial BLOB NOT NULL,
    PRIMARY KEY (block, series, start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS stale (
    tier INTEGER, series INTEGER, start INTEGER,
    PRIMARY KEY (tier, series, start)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unsent (
    tier INTEGER, start INTEGER, series INTEGER, version INTEGER NOT NULL,
    PRIMARY KEY (tier, start, series)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS damaged (
    id INTEGER PRIMARY KEY, day INTEGER, series INTEGER, first_time INTEGER, points BLOB);
";

/// An opened store, loaded into memory.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) file: PathBuf,
    pub(crate) shared: Shared,
}

/// Creates the folder and makes its entry durable: SQLite does so for its files only.
fn create(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let above = folder.parent().filter(|above| !above.as_os_str().is_empty());
    std::fs::File::open(above.unwrap_or(Path::new(".")))?.sync_all()
}

/// Opens or creates the file in a folder; a damaged one is moved aside and a new one begun.
pub(crate) fn open(folder: &Path, config: &Config) -> Result<Opened, StoreError> {
    create(folder)?;
    let file = folder.join(FILE);
    match load(&file, config) {
        Err(error) if is_damage(&error) => {
            let aside = move_aside(folder, &file)?;
            metrics::counter!("sen_store_damaged_total", "what" => "file").increment(1);
            tracing::error!(
                error = %error, aside = %aside.display(),
                "the store was damaged: it is begun anew from what the log still holds"
            );
            load(&file, config)
        }
        opened => opened,
    }
}

/// Loads the file of a store that another process may be writing.
///
/// What is loaded is one snapshot, and it stays in memory: points that the other process seals
/// later are then both here and in a chunk, and count once. So nothing that was committed by now
/// is missed; of what is committed later some may be seen.
pub(crate) fn open_to_read(
    folder: &Path,
    config: &Config,
) -> Result<(PathBuf, Shared), StoreError> {
    let file = folder.join(FILE);
    // SQLite only says that it cannot open the file.
    std::fs::metadata(&file)?;
    let connection = connect_to_read(&file)?;
    let snapshot = connection.unchecked_transaction()?;
    let version: i32 = snapshot.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match version.cmp(&VERSION) {
        Ordering::Greater => Err(StoreError::Newer { version, known: VERSION }),
        Ordering::Less => Err(StoreError::Older { version, known: VERSION }),
        Ordering::Equal => Ok((file, load_into_memory(&snapshot, config)?.0)),
    }
}

/// A connection for writing.
pub(crate) fn connect(file: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY)?;
    // Before the first table: neither can be changed afterwards. Chunks fit into pages of 8 KiB.
    connection.pragma_update(None, "page_size", 8_192)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // FULL: every commit is followed by fsync. NORMAL would only do so at checkpoints.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    // The writer writes back between commits; only a flood of them may make one do it.
    connection.pragma_update(None, "wal_autocheckpoint", 8_000)?;
    connection.pragma_update(None, "cache_size", -4_096)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

/// Writes the write-ahead log back into the file, as far as no reader is in the way.
pub(crate) fn write_back(connection: &Connection) -> Result<(), StoreError> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    Ok(())
}

/// A connection for queries.
pub(crate) fn connect_to_read(file: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cache_size", -2_048)?;
    Ok(connection)
}

/// Notes that the file must be checked in full at the next start.
pub(crate) fn mark_suspect(file: &Path) {
    if let Err(error) = std::fs::write(file.with_file_name(SUSPECT), b"") {
        tracing::error!(%error, "cannot note that the store is damaged");
    }
}

fn load(file: &Path, config: &Config) -> Result<Opened, StoreError> {
    let mut connection = connect(file)?;
    check(&connection, file)?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > VERSION {
        return Err(StoreError::Newer { version, known: VERSION });
    }
    connection.execute_batch(SCHEMA)?;
    if version == 1 {
        mark_all_stale(&mut connection)?;
    }
    connection.pragma_update(None, "user_version", VERSION)?;
    let (shared, damaged) = load_into_memory(&connection, config)?;
    if !damaged.is_empty() {
        // What the rows held comes back by replay.
        for id in damaged {
            connection.execute("DELETE FROM tail WHERE id = ?1", [id])?;
        }
        forget_checkpoint(&connection)?;
        shared.head().checkpoint = None;
    }
    Ok(Opened { connection, file: file.to_owned(), shared })
}

/// What is kept in memory, and the tail rows that could not be read.
fn load_into_memory(
    connection: &Connection,
    config: &Config,
) -> Result<(Shared, Vec<i64>), StoreError> {
    let (directory, sealed) = load_series(connection, config)?;
    let checkpoint = load_checkpoint(connection)?;
    let floor: Option<i64> = state(connection, "floor")?.and_then(|text| text.parse().ok());
    let floor = Timestamp::from_millis(floor.unwrap_or(i64::MIN));
    let mut head = Head::new(sealed, floor, checkpoint);
    let begun: Option<i64> = state(connection, "begun")?.and_then(|text| text.parse().ok());
    head.begun = begun.map(Timestamp::from_millis);
    let damaged = load_tail(connection, &directory, &mut head)?;
    Ok((Shared::new(directory, head), damaged))
}

/// A file of version 1 has minutes only: the coarser tiers are made of them when it is rolled up.
fn mark_all_stale(connection: &mut Connection) -> Result<(), StoreError> {
    tracing::info!("the store is brought up to version 2: every hour and day will be summed up");
    let transaction = connection.transaction()?;
    {
        let mut select = transaction.prepare("SELECT start, series FROM minute ORDER BY start")?;
        let mut rows = select.query([])?;
        // In order of time: the minutes of a quarter hour need one mark.
        let mut marked = HashMap::new();
        while let Some(row) = rows.next()? {
            let (minute, series) = (Timestamp::from_millis(row.get(0)?), SeriesId(row.get(1)?));
            let quarter = Tier::QuarterHour.start_of(minute);
            if marked.insert(series, quarter) != Some(quarter) {
                tiers::mark_stale(&transaction, series, minute)?;
            }
        }
    }
    Ok(transaction.commit()?)
}

fn check(connection: &Connection, file: &Path) -> Result<(), StoreError> {
    let suspect = file.with_file_name(SUSPECT);
    if suspect.exists() || std::fs::metadata(file)?.len() <= CHECKED_BYTES {
        let verdict: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            return Err(StoreError::Damaged(verdict));
        }
    }
    if suspect.exists() {
        std::fs::remove_file(suspect)?;
    }
    Ok(())
}

fn is_damage(error: &StoreError) -> bool {
    matches!(error, StoreError::Damaged(_) | StoreError::Database(_)) && !error.is_retryable()
}

fn move_aside(folder: &Path, file: &Path) -> Result<PathBuf, StoreError> {
    let name = |number: u32| folder.join(format!("{FILE}.damaged-{number}"));
    let free = (1..KEPT_DAMAGED).map(name).find(|path| !path.exists());
    let aside = free.unwrap_or_else(|| name(KEPT_DAMAGED));
    std::fs::rename(file, &aside)?;
    for ending in ["-wal", "-shm"] {
        let beside = |path: &Path| PathBuf::from(format!("{}{ending}", path.display()));
        if beside(file).exists() {
            std::fs::rename(beside(file), beside(&aside))?;
        }
    }
    let suspect = file.with_file_name(SUSPECT);
    if suspect.exists() {
        std::fs::remove_file(suspect)?;
    }
    Ok(aside)
}

fn load_series(
    connection: &Connection,
    config: &Config,
) -> Result<(Directory, Vec<Option<Point>>), StoreError> {
    let (mut keys, mut sealed) = (Vec::new(), Vec::new());
    let mut statement = connection.prepare(
        "SELECT id, device, metric, event_time, sequence, value_bits, quality, received_at
         FROM series ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let names = (row.get_ref(1)?.as_str(), row.get_ref(2)?.as_str());
        let (Ok(device), Ok(metric)) = names else {
            return Err(StoreError::Damaged("a series without a name".to_owned()));
        };
        let (Ok(device), Ok(metric)) = (DeviceId::new(device), Metric::new(metric)) else {
            return Err(StoreError::Damaged(format!("series `{device}/{metric}`")));
        };
        let id: u32 = row.get(0)?;
        if id > MOST_SERIES {
            return Err(StoreError::Damaged(format!("a series of number {id}")));
        }
        keys.push((id, SeriesKey { device, metric }));
        // Numbers that are missing are of series that were forgotten.
        sealed.resize(id as usize, None);
        sealed.push(newest_sealed(row)?);
    }
    Ok((Directory::new(config.max_series, keys.into_iter()), sealed))
}

fn newest_sealed(row: &rusqlite::Row<'_>) -> Result<Option<Point>, StoreError> {
    let Some(event_time) = row.get(3)? else { return Ok(None) };
    Ok(Some(Point {
        event_time: Timestamp::from_millis(event_time),
        sequence: row.get(4)?,
        value: f64::from_bits(row.get::<_, i64>(5)? as u64),
        quality: quality_of_code(row.get(6)?),
        received_at: Timestamp::from_millis(row.get(7)?),
    }))
}

/// Loads the unsealed points; tells which rows could not be read. Points of forgotten series have
/// expired.
fn load_tail(
    connection: &Connection,
    directory: &Directory,
    head: &mut Head,
) -> Result<Vec<i64>, StoreError> {
    let mut damaged = Vec::new();
    let mut statement = connection.prepare("SELECT id, points FROM tail ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let runs = row.get_ref(1)?.as_blob().ok().and_then(tail::decode);
        match runs {
            Some(runs) => {
                let known = runs.into_iter().filter(|(series, _)| directory.has(*series));
                known.for_each(|(series, points)| head.load(series, points));
            }
            None => damaged.push(row.get::<_, i64>(0)?),
        }
    }
    for id in &damaged {
        metrics::counter!("sen_store_damaged_total", "what" => "tail").increment(1);
        tracing::error!(id, "a tail row is damaged: everything the log still holds is replayed");
    }
    Ok(damaged)
}

fn load_checkpoint(connection: &Connection) -> Result<Option<Checkpoint>, StoreError> {
    let epoch = state(connection, "epoch")?;
    let next = state(connection, "next")?.and_then(|text| text.parse().ok());
    Ok(epoch.zip(next).map(|(epoch, next)| Checkpoint { epoch, next }))
}

fn forget_checkpoint(connection: &Connection) -> Result<(), StoreError> {
    connection.execute("DELETE FROM state WHERE key IN ('epoch', 'next')", [])?;
    Ok(())
}

/// One value of the state.
pub(crate) fn state(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM state WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0)).optional()?)
}

/// Sets one value of the state.
pub(crate) fn set_state(
    connection: &Connection,
    key: &str,
    value: &str,
) -> Result<(), rusqlite::Error> {
    let mut statement =
        connection.prepare_cached("INSERT OR REPLACE INTO state (key, value) VALUES (?1, ?2)")?;
    statement.execute(params![key, value])?;
    Ok(())
}
