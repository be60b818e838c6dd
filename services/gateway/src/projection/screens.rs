//! Pure: which screens there are, what each has on its glass, and which fall behind.

use std::collections::BTreeMap;

use sen_model::Timestamp;

use crate::view::View;

/// Screens that are remembered; beyond it the one that has been away longest is forgotten.
pub const MOST_SCREENS: usize = 2_000;
/// A screen this long behind the head is stale, in milliseconds.
pub const STALE_MS: i64 = 30_000;
/// A wall that was lost this long ago is stale, and any other screen has left, in milliseconds:
/// longer than the slowest way back of a screen that is well.
pub const AWAY_MS: i64 = 60_000;
/// A wall that was lost this long ago is not missed any more, in milliseconds.
pub const MISSED_MS: i64 = sen_model::time::DAY_MS;
/// How the names of walls begin: screens that nobody switches off at the end of a shift.
const WALL: &str = "wall";

/// How many screens there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScreensState {
    /// Connected ones.
    pub connected: usize,
    /// Connected ones that do not follow, and walls that are missed.
    pub stale: usize,
}

/// One screen by its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Screen {
    /// The number of its connection; none while it is away.
    pub connection: Option<u64>,
    /// What it shows.
    pub view: View,
    /// Everything up to here is on its glass.
    pub seen: u64,
    /// The view of the state it holds, as far as this process has told it.
    holds: Option<View>,
    /// What it did not show yet: the head as it was then, and since when.
    behind: Option<(u64, Timestamp)>,
    /// When it connected or was lost.
    since: Timestamp,
    /// While it is away: a wall that did not say goodbye.
    is_missed: bool,
}

impl Screen {
    /// Since when it has been missing something, over all its connections; none if it shows
    /// everything or has left.
    pub fn behind_since(&self) -> Option<Timestamp> {
        self.behind.map(|(_, since)| since)
    }

    /// Whether it has been behind, or a wall been away, for too long.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        let is_behind = self.behind_since().is_some_and(|since| now.since_ms(since) >= STALE_MS);
        if self.connection.is_some() {
            return is_behind;
        }
        let away_ms = now.since_ms(self.since);
        self.is_missed && away_ms < MISSED_MS && (is_behind || away_ms >= AWAY_MS)
    }

    /// Looks at the screen now. It is behind while the head of an earlier look is not yet shown:
    /// one that follows a busy log a moment behind is not. A new connection mends nothing by
    /// itself; only who has left is not behind.
    fn look(&mut self, head: u64, now: Timestamp) {
        let is_away = self.connection.is_none();
        let has_left = is_away && !self.is_missed && now.since_ms(self.since) >= AWAY_MS;
        if has_left || self.behind.is_some_and(|(target, _)| self.seen >= target) {
            self.behind = None;
        }
        if self.behind.is_none() && self.seen < head && (self.is_missed || !is_away) {
            self.behind = Some((head, now));
        }
    }
}

/// All screens by name.
#[derive(Debug, Default)]
pub struct Screens(BTreeMap<String, Screen>);

impl Screens {
    /// A screen connected. What it has seen, and since when it is behind, still counts from an
    /// earlier connection, as far as this log reaches.
    pub fn connect(&mut self, name: &str, view: View, connection: u64, now: Timestamp) {
        if !self.0.contains_key(name) && self.0.len() >= MOST_SCREENS {
            self.forget_one();
        }
        let earlier = self.0.get(name);
        let screen = Screen {
            connection: Some(connection),
            view,
            seen: earlier.map_or(0, |screen| screen.seen),
            holds: earlier.and_then(|screen| screen.holds),
            behind: earlier.and_then(|screen| screen.behind),
            since: now,
            is_missed: false,
        };
        self.0.insert(name.to_owned(), screen);
    }

    /// A connection ended, with a goodbye or without; nothing happens if the screen has a newer
    /// one.
    pub fn disconnect(&mut self, name: &str, connection: u64, goodbye: bool, now: Timestamp) {
        if let Some(screen) = self.0.get_mut(name)
            && screen.connection == Some(connection)
        {
            let is_missed = name.starts_with(WALL) && !goodbye;
            *screen = Screen { connection: None, since: now, is_missed, ..*screen };
        }
    }

    /// Whether what a screen holds may be of another view than this one. What it was told before
    /// this process began is not known.
    pub fn holds_another(&self, name: &str, view: View) -> bool {
        self.0.get(name).and_then(|screen| screen.holds).is_some_and(|held| held != view)
    }

    /// A screen was told the state of a view.
    pub fn told(&mut self, name: &str, view: View) {
        if let Some(screen) = self.0.get_mut(name) {
            screen.holds = Some(view);
        }
    }

    /// A screen has everything up to `seq` on its glass; more than `head` cannot be.
    pub fn saw(&mut self, name: &str, seq: u64, head: u64) {
        if let Some(screen) = self.0.get_mut(name) {
            screen.seen = screen.seen.max(seq.min(head));
        }
    }

    /// Looks at every screen and counts.
    pub fn look(&mut self, head: u64, now: Timestamp) -> ScreensState {
        self.0.values_mut().for_each(|screen| screen.look(head, now));
        ScreensState {
            connected: self.0.values().filter(|screen| screen.connection.is_some()).count(),
            stale: self.0.values().filter(|screen| screen.is_stale(now)).count(),
        }
    }

    /// Every screen by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Screen)> {
        self.0.iter().map(|(name, screen)| (name.as_str(), screen))
    }

    /// Forgets the screen that has been away longest; one that is missed only if all are.
    fn forget_one(&mut self) {
        let away = self.0.iter().filter(|(_, screen)| screen.connection.is_none());
        let oldest = away.min_by_key(|(_, screen)| (screen.is_missed, screen.since));
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
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

    fn wall() -> Screens {
        let mut screens = Screens::default();
        screens.connect("wall-1", View::All, 1, at(0));
        screens
    }

    #[test]
    fn a_screen_that_stays_behind_is_stale_until_it_shows_what_it_missed() {
        let mut screens = wall();
        assert_eq!(screens.look(10, at(1_000)), ScreensState { connected: 1, stale: 0 });
        assert_eq!(screens.look(12, at(30_999)).stale, 0);
        assert_eq!(screens.look(12, at(31_000)).stale, 1);
        screens.saw("wall-1", 10, 12);
        assert_eq!(screens.look(12, at(32_000)).stale, 0);
        screens.saw("wall-1", 99, 12);
        assert_eq!(screens.look(12, at(90_000)).stale, 0);
        assert_eq!(screens.all().next().unwrap().1.seen, 12);
    }

    #[test]
    fn a_screen_a_moment_behind_a_busy_log_is_not_stale() {
        let mut screens = wall();
        for second in 1..100 {
            screens.saw("wall-1", second - 1, second);
            assert_eq!(screens.look(second, at(second as i64 * 1_000)).stale, 0, "{second}");
        }
    }

    #[test]
    fn connecting_again_and_again_mends_nothing() {
        for name in ["wall-1", "desk-1"] {
            let mut screens = Screens::default();
            for round in 0..7_u64 {
                let now = at(round as i64 * 10_000);
                screens.connect(name, View::All, round, now);
                assert_eq!(screens.look(5, now).stale, usize::from(round >= 3), "{name} {round}");
                screens.disconnect(name, round, false, at(round as i64 * 10_000 + 5_000));
            }
            screens.connect(name, View::All, 9, at(70_000));
            screens.saw(name, 5, 5);
            assert_eq!(screens.look(5, at(70_000)).stale, 0, "{name}");
        }
    }

    #[test]
    fn a_wall_that_was_lost_is_missed_for_a_day_and_others_have_left() {
        for (name, goodbye, stale) in
            [("wall-1", false, 1), ("wall-1", true, 0), ("desk-1", false, 0)]
        {
            let mut screens = Screens::default();
            screens.connect(name, View::All, 1, at(0));
            screens.saw(name, 5, 5);
            screens.disconnect(name, 1, goodbye, at(0));
            let mut look = |ms| screens.look(5, at(ms)).stale;
            assert_eq!((look(AWAY_MS - 1), look(AWAY_MS)), (0, stale), "{name} {goodbye}");
            assert_eq!((look(MISSED_MS - 1), look(MISSED_MS)), (stale, 0), "{name} {goodbye}");
            screens.connect(name, View::All, 2, at(MISSED_MS));
            let well = ScreensState { connected: 1, stale: 0 };
            assert_eq!(screens.look(5, at(MISSED_MS + STALE_MS)), well, "{name} {goodbye}");
        }
    }

    #[test]
    fn who_left_while_behind_begins_anew() {
        let mut screens = Screens::default();
        screens.connect("desk-1", View::All, 1, at(0));
        screens.look(5, at(0));
        screens.disconnect("desk-1", 1, true, at(1_000));
        assert_eq!(screens.look(5, at(1_000 + AWAY_MS)).stale, 0);
        screens.connect("desk-1", View::All, 2, at(200_000));
        assert_eq!(screens.look(5, at(200_000)).stale, 0);
        assert_eq!(screens.look(5, at(200_000 + STALE_MS)).stale, 1);
    }

    #[test]
    fn the_end_of_an_old_connection_does_not_touch_the_new_one() {
        let mut screens = wall();
        screens.saw("wall-1", 5, 5);
        screens.connect("wall-1", View::All, 2, at(1));
        screens.disconnect("wall-1", 1, false, at(2));
        let screen = screens.all().next().unwrap().1.clone();
        assert_eq!((screen.connection, screen.seen), (Some(2), 5));
    }

    #[test]
    fn what_a_screen_holds_is_what_it_was_told_last() {
        let mut screens = wall();
        let transport = View::Of(sen_model::Field::Transport);
        assert!(!screens.holds_another("wall-1", transport), "not known");
        screens.told("wall-1", View::All);
        // It asked for another view, but left before it was told all of it.
        screens.connect("wall-1", transport, 2, at(1));
        assert!(screens.holds_another("wall-1", transport));
        assert!(!screens.holds_another("wall-1", View::All));
    }

    #[test]
    fn remembers_a_bounded_number_and_forgets_neither_connected_nor_missed_ones_first() {
        let mut screens = Screens::default();
        for n in 1..MOST_SCREENS as u64 {
            screens.connect(&format!("s{n}"), View::All, n, at(n as i64));
        }
        screens.connect("wall-1", View::All, 0, at(0));
        screens.disconnect("wall-1", 0, false, at(1));
        screens.disconnect("s7", 7, false, at(9_000));
        screens.disconnect("s8", 8, false, at(8_000));
        screens.connect("new", View::All, 5_000, at(9_001));
        let names: Vec<&str> = screens.all().map(|(name, _)| name).collect();
        assert_eq!(names.len(), MOST_SCREENS);
        assert!(["s7", "wall-1", "new"].iter().all(|name| names.contains(name)));
        assert!(!names.contains(&"s8"));
    }
}
