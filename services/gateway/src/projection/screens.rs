//! Pure: which screens there are, what each has on its glass, and which fall behind.

use std::collections::BTreeMap;

use sen_model::Timestamp;

use crate::view::View;

/// Screens that are remembered; beyond it the one that has been away longest is forgotten.
pub const MOST_SCREENS: usize = 2_000;
/// A connected screen this long behind the head is stale, in milliseconds.
pub const STALE_MS: i64 = 30_000;

/// One screen by its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Screen {
    /// The number of its connection; none while it is away.
    pub connection: Option<u64>,
    /// What it shows.
    pub view: View,
    /// Everything up to here is on its glass.
    pub seen: u64,
    /// What it did not show yet: the head as it was then, and since when.
    behind: Option<(u64, Timestamp)>,
    /// When it connected or was lost.
    since: Timestamp,
}

impl Screen {
    /// Since when it has been missing something; none if it shows everything or is away.
    pub fn behind_since(&self) -> Option<Timestamp> {
        self.behind.map(|(_, since)| since)
    }

    /// Whether it has been behind for too long.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.behind_since().is_some_and(|since| now.since_ms(since) >= STALE_MS)
    }

    /// Looks at the screen now. It is behind while the head of an earlier look is not yet shown:
    /// one that follows a busy log a moment behind is not.
    fn look(&mut self, head: u64, now: Timestamp) {
        if self.behind.is_some_and(|(target, _)| self.seen >= target) || self.connection.is_none() {
            self.behind = None;
        }
        if self.behind.is_none() && self.connection.is_some() && self.seen < head {
            self.behind = Some((head, now));
        }
    }
}

/// All screens by name.
#[derive(Debug, Default)]
pub struct Screens(BTreeMap<String, Screen>);

impl Screens {
    /// A screen connected. What it has seen in an earlier connection still counts, as far as this
    /// log reaches.
    pub fn connect(&mut self, name: &str, view: View, connection: u64, now: Timestamp) {
        if !self.0.contains_key(name) && self.0.len() >= MOST_SCREENS {
            self.forget_one();
        }
        let seen = self.0.get(name).map_or(0, |screen| screen.seen);
        let screen = Screen { connection: Some(connection), view, seen, behind: None, since: now };
        self.0.insert(name.to_owned(), screen);
    }

    /// A connection ended; nothing happens if the screen has a newer one.
    pub fn disconnect(&mut self, name: &str, connection: u64, now: Timestamp) {
        if let Some(screen) = self.0.get_mut(name)
            && screen.connection == Some(connection)
        {
            *screen = Screen { connection: None, behind: None, since: now, ..*screen };
        }
    }

    /// A screen has everything up to `seq` on its glass; more than `head` cannot be.
    pub fn saw(&mut self, name: &str, seq: u64, head: u64) {
        if let Some(screen) = self.0.get_mut(name) {
            screen.seen = screen.seen.max(seq.min(head));
        }
    }

    /// Looks at every screen; returns how many are stale.
    pub fn look(&mut self, head: u64, now: Timestamp) -> usize {
        self.0.values_mut().for_each(|screen| screen.look(head, now));
        self.0.values().filter(|screen| screen.is_stale(now)).count()
    }

    /// Every screen by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Screen)> {
        self.0.iter().map(|(name, screen)| (name.as_str(), screen))
    }

    fn forget_one(&mut self) {
        let away = self.0.iter().filter(|(_, screen)| screen.connection.is_none());
        let oldest = away.min_by_key(|(_, screen)| screen.since).map(|(name, _)| name.clone());
        if let Some(name) = oldest {
            self.0.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    #[test]
    fn a_screen_that_stays_behind_is_stale_until_it_shows_what_it_missed() {
        let mut screens = Screens::default();
        screens.connect("wall-1", View::All, 1, at(0));
        assert_eq!(screens.look(10, at(1_000)), 0);
        assert_eq!(screens.look(12, at(30_999)), 0);
        assert_eq!(screens.look(12, at(31_000)), 1);
        screens.saw("wall-1", 10, 12);
        assert_eq!(screens.look(12, at(32_000)), 0);
        screens.saw("wall-1", 99, 12);
        assert_eq!(screens.look(12, at(90_000)), 0);
        assert_eq!(screens.all().next().unwrap().1.seen, 12);
    }

    #[test]
    fn a_screen_a_moment_behind_a_busy_log_is_not_stale() {
        let mut screens = Screens::default();
        screens.connect("wall-1", View::All, 1, at(0));
        for second in 1..100 {
            screens.saw("wall-1", second - 1, second);
            assert_eq!(screens.look(second, at(second as i64 * 1_000)), 0, "{second}");
        }
    }

    #[test]
    fn the_end_of_an_old_connection_does_not_touch_the_new_one() {
        let mut screens = Screens::default();
        screens.connect("wall-1", View::All, 1, at(0));
        screens.saw("wall-1", 5, 5);
        screens.connect("wall-1", View::All, 2, at(1));
        screens.disconnect("wall-1", 1, at(2));
        let screen = screens.all().next().unwrap().1.clone();
        assert_eq!((screen.connection, screen.seen), (Some(2), 5));
        screens.disconnect("wall-1", 2, at(3));
        assert_eq!(screens.look(9, at(90_000)), 0, "a screen that is away is not stale");
    }

    #[test]
    fn remembers_a_bounded_number_and_never_forgets_a_connected_one() {
        let mut screens = Screens::default();
        for n in 0..MOST_SCREENS as u64 {
            screens.connect(&format!("s{n}"), View::All, n, at(n as i64));
        }
        screens.disconnect("s7", 7, at(9_000));
        screens.disconnect("s8", 8, at(8_000));
        screens.connect("new", View::All, 5_000, at(9_001));
        let names: Vec<&str> = screens.all().map(|(name, _)| name).collect();
        assert_eq!(names.len(), MOST_SCREENS);
        assert!(names.contains(&"s7") && !names.contains(&"s8") && names.contains(&"new"));
    }
}
