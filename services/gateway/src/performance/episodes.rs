//! Pure: one small row for each episode, folded from the alert log.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use sen_model::time::DAY_MS;
use sen_model::{
    AlertId, AlertRecord, Change, DeviceId, Field, Metric, RuleId, Severity, Timestamp,
};

/// Rows are kept for this long after the raise, in days: more than a year, so that the same season
/// can be compared.
pub const KEPT_DAYS: i64 = 400;
/// Rows that are kept at most, the newest ones: 300 a day on each of two desks for those 400 days.
pub const KEPT_ROWS: usize = 250_000;

/// What comes and goes: a rule, or one level of it, over one series.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alarm {
    /// The rule.
    pub rule: RuleId,
    /// The device.
    pub device: DeviceId,
    /// The metric; none for a device that is silent altogether.
    pub metric: Option<Metric>,
    /// The level; 0 for a rule without levels.
    pub level: u8,
}

/// One episode.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Its id.
    pub id: AlertId,
    /// Of what.
    pub alarm: Arc<Alarm>,
    /// Which desk.
    pub field: Field,
    /// How bad.
    pub severity: Severity,
    /// When it was raised, shown or not.
    pub raised_at: Timestamp,
    /// When operators first saw it.
    pub shown_at: Option<Timestamp>,
    /// When somebody took it.
    pub acknowledged_at: Option<Timestamp>,
    /// When its condition ended.
    pub cleared_at: Option<Timestamp>,
    /// Whether it was ever shelved.
    pub shelved: bool,
    /// Whether it was ever suppressed.
    pub suppressed: bool,
    /// Whether it was ever out of service.
    pub out_of_service: bool,
    /// Whether it belongs to a drill.
    pub drill: bool,
}

impl Episode {
    fn begun(record: &AlertRecord, alarm: Arc<Alarm>) -> Self {
        Self {
            id: record.id.clone(),
            alarm,
            field: record.field,
            severity: record.severity,
            raised_at: record.recorded_at,
            shown_at: None,
            acknowledged_at: None,
            cleared_at: None,
            shelved: false,
            suppressed: false,
            out_of_service: false,
            drill: record.drill,
        }
    }

    fn take(&mut self, record: &AlertRecord) {
        let at = record.recorded_at;
        if record.is_shown() {
            self.shown_at.get_or_insert(at);
        }
        if record.acknowledgement.is_some() {
            self.acknowledged_at.get_or_insert(at);
        }
        if !record.holds() {
            self.cleared_at.get_or_insert(at);
        }
        self.shelved |= record.shelving.is_some();
        self.suppressed |= record.suppression.is_some();
        self.out_of_service |= record.out_of_service.is_some();
    }
}

/// The rows, oldest raise first.
#[derive(Debug, Default)]
pub struct Episodes {
    rows: VecDeque<Arc<Episode>>,
    /// How many rows went before the first one that is kept.
    gone: usize,
    /// Where those stand that are not over yet, counted from the first row there ever was.
    open: HashMap<AlertId, usize>,
    alarms: HashSet<Arc<Alarm>>,
    as_of: u64,
}

impl Episodes {
    /// Takes the record at `offset`; one that was taken before changes nothing.
    pub fn apply(&mut self, offset: u64, record: &AlertRecord) {
        if offset <= self.as_of {
            return;
        }
        self.as_of = offset;
        let is_open = record.state.is_open();
        if !self.open.contains_key(&record.id) {
            if !is_open && record.change != Change::Raised {
                return;
            }
            self.begin(record);
        }
        let Some(at) = self.open.get(&record.id) else { return };
        if let Some(row) = at.checked_sub(self.gone).and_then(|at| self.rows.get_mut(at)) {
            // A report that is being made keeps the row as it was.
            Arc::make_mut(row).take(record);
        }
        if !is_open {
            self.open.remove(&record.id);
        }
    }

    /// The rows of what was raised before a time, oldest raise first, as they are now: cheap to
    /// take, so that nobody who folds waits for a report.
    pub fn rows_before(&self, to: Timestamp) -> Vec<Arc<Episode>> {
        self.rows.iter().filter(|row| row.raised_at < to).map(Arc::clone).collect()
    }

    fn begin(&mut self, record: &AlertRecord) {
        let alarm = self.interned(Alarm {
            rule: record.rule.clone(),
            device: record.device.clone(),
            metric: record.metric.clone(),
            level: record.level,
        });
        self.open.insert(record.id.clone(), self.gone + self.rows.len());
        self.rows.push_back(Arc::new(Episode::begun(record, alarm)));
        let oldest = record.recorded_at.plus_ms(-KEPT_DAYS * DAY_MS);
        let is_old = |row: &Arc<Episode>| row.raised_at < oldest;
        while self.rows.len() > KEPT_ROWS || self.rows.front().is_some_and(is_old) {
            self.forget_oldest();
        }
    }

    fn interned(&mut self, alarm: Alarm) -> Arc<Alarm> {
        if let Some(known) = self.alarms.get(&alarm) {
            return Arc::clone(known);
        }
        let alarm = Arc::new(alarm);
        self.alarms.insert(Arc::clone(&alarm));
        alarm
    }

    fn forget_oldest(&mut self) {
        let Some(row) = self.rows.pop_front() else { return };
        self.gone += 1;
        self.open.remove(&row.id);
        // Held by the set and by this row alone.
        if Arc::strong_count(&row.alarm) == 2 {
            self.alarms.remove(&row.alarm);
        }
    }
}
