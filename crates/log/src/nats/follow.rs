//! The task that follows what is appended to a topic, by whomever, and moves its head.

use std::io;
use std::sync::Arc;

use super::scan::{Scan, Stored};
use super::shared::{Pause, Shared};
use crate::backend::{Arrival, Chunk, Offset};

/// Messages asked for at once.
const PULL_MESSAGES: usize = 512;
/// Messages and bytes told at once, at most.
const TOLD_MESSAGES: usize = 256;
const TOLD_BYTES: usize = 1 << 20;

/// Follows until the topic ends. After a lost connection (or server) it goes on where it was.
pub(crate) async fn follow(shared: Arc<Shared>, arrival: Arrival) {
    let head = shared.head();
    let mut follower = Follower {
        next: if head == 0 { 1 } else { shared.numbering.sequence(head) + 1 },
        covered: head + 1,
        shared,
        arrival,
    };
    let mut pause = Pause::new();
    while !follower.shared.is_over() {
        let before = follower.next;
        let Err(error) = follower.run().await else { return };
        if follower.next > before {
            pause = Pause::new();
        }
        if pause.is_fresh() {
            let topic = &follower.shared.name;
            tracing::warn!(topic, %error, "the log cannot be followed for a moment");
        }
        pause.wait().await;
    }
}

struct Follower {
    shared: Arc<Shared>,
    arrival: Arrival,
    /// The sequence the next message has at least.
    next: u64,
    /// The first offset nothing was told of.
    covered: Offset,
}

impl Follower {
    async fn run(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let (stream, filter) = (shared.names.stream(), shared.filter.as_deref());
        let mut scan = Scan::begin(&shared.context, &stream, filter, self.next).await?;
        while !shared.is_over() {
            if !scan.is_asked() {
                scan.pull(PULL_MESSAGES, true).await?;
            }
            let Some(first) = scan.step().await? else { continue };
            let mut bytes = first.message.payload.len();
            let mut group = vec![first];
            let mut failed = None;
            while group.len() < TOLD_MESSAGES && bytes < TOLD_BYTES {
                match scan.ready() {
                    Some(Ok(Some(next))) => {
                        bytes += next.message.payload.len();
                        group.push(next);
                    }
                    Some(Err(error)) => {
                        failed = Some(error);
                        break;
                    }
                    Some(Ok(None)) | None => break,
                }
            }
            self.tell(&group);
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(())
    }

    fn tell(&mut self, group: &[Stored]) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
        let numbering = self.shared.numbering;
        // A gap in a whole topic is what was deleted meanwhile: the tail begins anew after it.
        if self.shared.filter.is_none() && first.sequence != self.next {
            self.covered = numbering.first(first.sequence);
        }
        let mut chunk = Chunk { next: numbering.first(last.sequence + 1), ..Chunk::default() };
        group.iter().for_each(|stored| self.shared.unpack(stored, &mut chunk));
        let next = chunk.next;
        (self.arrival)(self.covered, chunk);
        self.next = last.sequence + 1;
        self.covered = next;
        self.shared.raise(next - 1);
    }
}
