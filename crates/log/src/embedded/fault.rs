//! Faults on demand: with the feature `failpoints` the tests make single steps fail, for one topic
//! at a time, with `fail::cfg("log::<step>::<topic>", "return(<kind>)")`. Without it this is nothing.

use std::io;

/// A step that can be made to fail.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// Before records are read.
    Read,
    /// Before frames are written.
    Write,
    /// After frames were written, before they are durable.
    Sync,
    /// Before a segment is created.
    Segment,
    /// Before a cursor's new file takes the place of the old one.
    CursorRename,
    /// Before a segment is deleted.
    Unlink,
    /// When the free space of the disk is asked for: it has none.
    Space,
    /// Before a failed segment is cut back to its durable length.
    Truncate,
}

/// Fails if a test wants this step to.
#[cfg(feature = "failpoints")]
pub(crate) fn check(step: Step, topic: &str) -> io::Result<()> {
    let step = match step {
        Step::Read => "read",
        Step::Write => "write",
        Step::Sync => "sync",
        Step::Segment => "segment",
        Step::CursorRename => "cursor_rename",
        Step::Unlink => "unlink",
        Step::Space => "space",
        Step::Truncate => "truncate",
    };
    fail::fail_point!(&format!("log::{step}::{topic}"), |kind: Option<String>| {
        Err(match kind.as_deref() {
            Some("full") => io::Error::from(io::ErrorKind::StorageFull),
            _ => io::Error::other("injected fault"),
        })
    });
    Ok(())
}

/// Never fails.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) fn check(_step: Step, _topic: &str) -> io::Result<()> {
    Ok(())
}
