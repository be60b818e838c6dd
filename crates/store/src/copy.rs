//! Copies of the store's file, made while another process may be writing it.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::{StoreError, database};

/// Pages copied before progress is told.
const PAGES_AT_ONCE: i32 = 1_024;

/// Copies the store in the folder `from`, as it is at this moment, into the folder `to`, where no
/// file may be. `told` hears of the bytes copied and of all there are. The writer goes on meanwhile;
/// what it writes is not in the copy, and stays in its write-ahead log until the copy is done.
pub fn copy(from: &Path, to: &Path, mut told: impl FnMut(u64, u64)) -> Result<(), StoreError> {
    let (file, copied) = (from.join(database::FILE), to.join(database::FILE));
    // SQLite only says that it cannot open the file.
    std::fs::metadata(&file)?;
    File::create_new(&copied)?;
    let source = database::connect_to_read(&file)?;
    // A read transaction that is begun holds one state of the file: without it the copy would
    // begin anew with each commit of the writer, and never end.
    let snapshot = source.unchecked_transaction()?;
    let page_bytes: u32 = snapshot.pragma_query_value(None, "page_size", |row| row.get(0))?;
    snapshot.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    let mut target = Connection::open(&copied)?;
    // Until it is whole it is worth nothing, so there is nothing to roll back to.
    target.pragma_update(None, "synchronous", "OFF")?;
    let backup = Backup::new(&snapshot, &mut target)?;
    while backup.step(PAGES_AT_ONCE)? != StepResult::Done {
        let progress = backup.progress();
        let bytes = |pages: i32| u64::from(page_bytes) * u64::from(pages.unsigned_abs());
        told(bytes(progress.pagecount - progress.remaining), bytes(progress.pagecount));
    }
    drop(backup);
    drop(target);
    OpenOptions::new().write(true).open(&copied)?.sync_all()?;
    File::open(to)?.sync_all()?;
    Ok(())
}

/// Lets the checkpoint of a store that nobody has open follow its log into a new epoch; a
/// checkpoint of another epoch is left as it is.
pub fn follow_epoch(folder: &Path, old: &str, new: &str) -> Result<(), StoreError> {
    let file = folder.join(database::FILE);
    std::fs::metadata(&file)?;
    let connection = database::connect(&file)?;
    connection
        .execute("UPDATE state SET value = ?2 WHERE key = 'epoch' AND value = ?1", [old, new])?;
    Ok(())
}
