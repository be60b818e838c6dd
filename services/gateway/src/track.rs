//! How far a fold of a topic has come, and whether it is whole.

use sen_log::Offset;
use tokio::sync::watch;

/// One fold's way through its topic.
pub(crate) struct Track {
    /// What is folded, in words.
    name: &'static str,
    /// The head at the start: before the fold stands for it, it is not whole.
    at_start: Offset,
    as_of: watch::Sender<Offset>,
}

impl Track {
    /// A fold that has read nothing of a topic with this head.
    pub(crate) fn new(name: &'static str, head: Offset) -> Self {
        Self { name, at_start: head, as_of: watch::Sender::new(0) }
    }

    /// The fold stands for this offset now.
    pub(crate) fn reached(&self, offset: Offset) {
        self.as_of.send_replace(offset);
    }

    /// What is folded, in words.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// The offset it stands for.
    pub(crate) fn as_of(&self) -> Offset {
        *self.as_of.borrow()
    }

    /// Whether it stands for as much as the topic held at the start, or more.
    pub(crate) fn is_whole(&self) -> bool {
        self.as_of() >= self.at_start
    }

    /// The offset it stands for, as it grows.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Offset> {
        self.as_of.subscribe()
    }

    /// What is still to be read, in words; none if it is whole.
    pub(crate) fn trouble(&self) -> Option<String> {
        let read_to = self.as_of();
        let Self { name, at_start, .. } = self;
        (!self.is_whole()).then(|| format!("folding {name}: {read_to} of {at_start}"))
    }
}

/// The folds that must be whole before anything is told of them.
pub(crate) struct Tracks {
    pub(crate) alerts: Track,
    pub(crate) desk: Track,
    pub(crate) shadow: Track,
    pub(crate) deliveries: Track,
}

impl Tracks {
    /// What is still to be read first, in words; none if all are whole.
    pub(crate) fn trouble(&self) -> Option<String> {
        let every = [&self.alerts, &self.desk, &self.shadow, &self.deliveries];
        every.into_iter().find_map(Track::trouble)
    }
}
