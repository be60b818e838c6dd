//! Pure: one alert from state to state (ISA-18.2 / IEC 62682), as records.

use sen_model::alert::Shelving;
use sen_model::{AlertId, AlertRecord, AlertState, Change, Registry, Text, Timestamp};

use crate::transition::{Subject, Transition};
use crate::wording::Scene;

/// The next record of an alert, with nothing changed yet but what happened and when.
pub(super) fn next(held: &AlertRecord, change: Change, now: Timestamp) -> AlertRecord {
    AlertRecord { rev: held.rev + 1, change, event_time: now, recorded_at: now, ..held.clone() }
}

/// Whether somebody or something has put an alert aside: nobody is waiting for it.
pub(super) fn is_put_aside(alert: &AlertRecord) -> bool {
    alert.state.is_open() && !alert.is_shown()
}

/// Whether a shelf is over at a time.
pub(super) fn is_due(shelving: &Shelving, now: Timestamp) -> bool {
    shelving.until <= now
}

/// The first record of an episode.
pub(crate) fn raised(
    transition: &Transition,
    registry: &Registry,
    now: Timestamp,
) -> Option<AlertRecord> {
    let Transition::Raise { subject, started_at, event_time, value, late, members } = transition
    else {
        return None;
    };
    let Subject { edition, device, metric, .. } = subject;
    let rule = &edition.rule;
    let scene = Scene::new(registry, subject);
    let area = scene.area();
    let place = area.as_ref().map_or("-", |area| area.as_str());
    Some(AlertRecord {
        metric: metric.clone(),
        group: format!("{place}:{}", rule.cause()),
        area,
        value: *value,
        limit: edition.known_limit(),
        level: edition.level,
        event_time: *event_time,
        recorded_at: now,
        late: *late,
        latched: rule.latched,
        text: scene.raised(*value, *started_at),
        members: members.clone(),
        ..AlertRecord::raised(
            subject.episode(*started_at),
            rule.id.clone(),
            edition.version.to_string(),
            edition.severity,
            rule.field,
            device.clone(),
            *started_at,
        )
    })
}

/// The record by which an episode has more members, and says how many; nothing if they are known,
/// or if it is over.
pub(crate) fn joined(
    held: &AlertRecord,
    transition: &Transition,
    registry: &Registry,
    now: Timestamp,
) -> Option<AlertRecord> {
    let Transition::Join { subject, started_at, members } = transition else { return None };
    let more: Vec<AlertId> =
        members.iter().filter(|id| !held.members.contains(id)).cloned().collect();
    (held.holds() && !more.is_empty()).then(|| {
        let mut record = next(held, Change::Updated, now);
        record.members.extend(more);
        record.value = Some(record.members.len() as f64);
        record.text = Scene::new(registry, subject).raised(record.value, *started_at);
        record
    })
}

/// The record by which an episode's condition is gone; nothing if it was gone before.
pub(crate) fn cleared(
    held: &AlertRecord,
    transition: &Transition,
    registry: &Registry,
    now: Timestamp,
) -> Option<AlertRecord> {
    let Transition::Clear { subject, ceased_at, event_time, value, .. } = transition else {
        return None;
    };
    let needs = subject.edition.rule.needs_acknowledgement(held.severity);
    let mut record = returned(held, needs, *ceased_at, now)?;
    record.text = Scene::new(registry, subject).cleared(*value, *event_time);
    record.event_time = *event_time;
    record.value = *value;
    Some(record)
}

/// The alert with its condition gone; nothing if it was gone before. What was put aside ends
/// without anybody having to take it.
pub(crate) fn returned(
    held: &AlertRecord,
    needs_acknowledgement: bool,
    ceased_at: Timestamp,
    now: Timestamp,
) -> Option<AlertRecord> {
    let state = match held.state {
        AlertState::Unacknowledged if needs_acknowledgement && !is_put_aside(held) => {
            AlertState::ReturnedUnacknowledged
        }
        AlertState::Unacknowledged | AlertState::Acknowledged => after_all(held),
        AlertState::ReturnedUnacknowledged | AlertState::Latched | AlertState::Normal => {
            return None;
        }
    };
    let cleared_at = Some(ceased_at);
    Some(AlertRecord { state, cleared_at, ..next(held, Change::Cleared, now) })
}

/// Where an alert goes when its condition is gone and somebody has taken it.
pub(super) fn after_all(held: &AlertRecord) -> AlertState {
    if held.latched { AlertState::Latched } else { AlertState::Normal }
}

/// The alert ended because another one counts for more; nothing unless its condition is gone.
pub(super) fn over(
    held: &AlertRecord,
    event_time: Timestamp,
    now: Timestamp,
    text: Text,
) -> Option<AlertRecord> {
    matches!(held.state, AlertState::ReturnedUnacknowledged | AlertState::Latched).then(|| {
        AlertRecord {
            state: AlertState::Normal,
            event_time: held.event_time.max(event_time),
            text,
            ..next(held, Change::Superseded, now)
        }
    })
}
