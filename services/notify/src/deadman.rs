//! Whether alerting itself still works. Pure: the records of the probe and the running time in.
//!
//! The probe goes through the whole chain every ten seconds and leaves a record each time. When
//! none has come for a while, alerting has stopped. Only running time counts, so neither our own
//! down time nor a clock that jumps is taken for silence.

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Alerting has stopped.
    Stopped,
    /// It works again.
    Well,
}

/// What is known of the probe. Times are milliseconds of running time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pulse {
    silence_ms: u64,
    /// When the last record came; at first when we began to listen. None = there never was one.
    last_ms: Option<u64>,
    /// Whether it counts as stopped.
    is_stopped: bool,
    /// Whether a record has come since we began to listen.
    is_heard: bool,
}

impl Pulse {
    /// Begins to listen at `now_ms`. Nothing is missed before the probe was `ever_seen`.
    pub(crate) fn new(silence_ms: u64, ever_seen: bool, was_stopped: bool, now_ms: u64) -> Self {
        let last_ms = ever_seen.then_some(now_ms);
        Self { silence_ms, last_ms, is_stopped: was_stopped, is_heard: false }
    }

    /// A record has come.
    pub(crate) fn beat(&mut self, now_ms: u64) -> Option<News> {
        self.last_ms = Some(now_ms);
        self.is_heard = true;
        std::mem::take(&mut self.is_stopped).then_some(News::Well)
    }

    /// Looks at the time.
    pub(crate) fn look(&mut self, now_ms: u64) -> Option<News> {
        let is_silent = self.last_ms.is_some_and(|last| now_ms - last >= self.silence_ms);
        if !is_silent || self.is_stopped {
            return None;
        }
        self.is_stopped = true;
        Some(News::Stopped)
    }

    /// Whether the probe comes through: a sign of life may be given.
    pub(crate) fn is_well(&self) -> bool {
        self.is_heard && !self.is_stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens when: a beat, or a look at the time, and what is told.
    type Story = &'static [(u64, char, Option<News>)];

    const STOPPED: Option<News> = Some(News::Stopped);
    const WELL: Option<News> = Some(News::Well);

    fn play(mut pulse: Pulse, story: Story) -> Pulse {
        for (at, what, told) in story {
            let news = if *what == 'b' { pulse.beat(*at) } else { pulse.look(*at) };
            assert_eq!(news, *told, "{what} at {at}");
        }
        pulse
    }

    #[test]
    fn silence_is_told_once_and_so_is_its_end() {
        let story: Story = &[
            (29, 'l', None),
            (30, 'l', STOPPED),
            (31, 'l', None),
            (999, 'l', None),
            (1_000, 'b', WELL),
            (1_001, 'b', None),
            (1_030, 'l', None),
            (1_031, 'l', STOPPED),
        ];
        play(Pulse::new(30, true, false, 0), story);
    }

    #[test]
    fn nothing_is_missed_that_never_was_there() {
        let pulse = play(Pulse::new(30, false, false, 0), &[(1_000, 'l', None)]);
        assert!(!pulse.is_well(), "there is no sign of life without a probe");
        let pulse = play(pulse, &[(1_001, 'b', None), (1_030, 'l', None)]);
        assert!(pulse.is_well());
        play(pulse, &[(1_031, 'l', STOPPED)]);
    }

    #[test]
    fn after_a_restart_it_is_told_neither_twice_nor_too_soon() {
        play(Pulse::new(30, true, true, 500), &[(600, 'l', None), (601, 'b', WELL)]);
        let story: Story = &[(529, 'l', None), (530, 'l', STOPPED)];
        play(Pulse::new(30, true, false, 500), story);
    }
}
