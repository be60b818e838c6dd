//! What people may change, and what becomes of it.

use super::*;
use crate::settings::tests::sample;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);
/// A public key on the curve (RFC 8291, appendix A) and a secret.
const P256DH: &str =
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

fn absence(person: &str, from: i64, until: i64) -> OnCallEntry {
    let (person, reason) = (person.to_owned(), String::new());
    OnCallEntry::Absence { person, from: NOW.plus_ms(from), until: NOW.plus_ms(until), reason }
}

fn push(person: &str, endpoint: &str) -> OnCallEntry {
    OnCallEntry::Push {
        person: person.into(),
        endpoint: endpoint.into(),
        p256dh: P256DH.into(),
        auth: AUTH.into(),
    }
}

fn change(notes: &Notes, key: &str, entry: OnCallEntry) -> Decision {
    notes.change(&sample(), key, "an".into(), NOW, entry)
}

fn written(decision: Decision) -> Vec<OnCallRecord> {
    match decision {
        Decision::Write(records) => records,
        Decision::Answer(answer) => panic!("not written: {answer:?}"),
    }
}

fn is_refused(decision: &Decision) -> bool {
    matches!(decision, Decision::Answer(OnCallAnswer::Refused(_)))
}

#[test]
fn a_change_is_noted_once_and_can_be_taken_back_once() {
    let mut notes = Notes::default();
    let records = written(change(&notes, "k", absence("an", 0, 1)));
    records.iter().for_each(|record| notes.fold(record));
    let again = change(&notes, "k", absence("an", 0, 1));
    let first = records[0].clone();
    assert_eq!(again, Decision::Answer(OnCallAnswer::Changed(Box::new(first.clone()))));
    assert!(is_refused(&change(&notes, "k", absence("binh", 0, 1))), "another change, this key");
    assert_eq!(notes.open().len(), 1);
    let ended = written(notes.cancel(&sample(), &first.id, "binh", NOW));
    ended.iter().for_each(|record| notes.fold(record));
    assert_eq!((ended[0].rev, ended[0].open, ended[0].by.as_str()), (2, false, "binh"));
    assert!(notes.open().is_empty());
    let answer = notes.cancel(&sample(), &first.id, "binh", NOW);
    assert_eq!(answer, Decision::Answer(OnCallAnswer::Changed(Box::new(ended[0].clone()))));
    // A caller who repeats himself does not bring it back.
    let again = change(&notes, "k", absence("an", 0, 1));
    assert_eq!(again, Decision::Answer(OnCallAnswer::Changed(Box::new(ended[0].clone()))));
}

#[test]
fn nonsense_is_refused_in_words() {
    let notes = Notes::default();
    let override_of = |team: &str, person: &str| OnCallEntry::Override {
        team: team.into(),
        person: person.into(),
        from: NOW,
        until: NOW.plus_ms(1),
    };
    let refused = [
        absence("nobody", 0, 1),
        absence("an", 1, 1),
        absence("an", -2, -1),
        absence("an", 0, LONGEST_MS + 1),
        override_of("nowhere", "an"),
        override_of("duty", "nobody"),
        push("an", "http://127.0.0.1/"),
        push("an", "https://169.254.169.254/latest"),
        push("an", "nonsense"),
        OnCallEntry::Push {
            person: "an".into(),
            endpoint: "https://push.example/1".into(),
            p256dh: "AAAA".into(),
            auth: AUTH.into(),
        },
        OnCallEntry::Redeemed { alert: sen_model::AlertId::from_text("a"), person: "an".into() },
    ];
    for entry in refused {
        assert!(is_refused(&change(&notes, "k", entry.clone())), "{entry:?}");
    }
    assert_eq!(written(change(&notes, "k", override_of("duty", "an"))).len(), 1);
    let nameless = notes.change(&sample(), "k", " ".into(), NOW, absence("an", 0, 1));
    assert!(is_refused(&nameless));
    let unknown = Decision::Answer(OnCallAnswer::Unknown);
    assert_eq!(notes.cancel(&sample(), "note-0", "an", NOW), unknown);
    assert!(is_refused(&notes.cancel(&sample(), "file-absence-1", "an", NOW)));
}

#[test]
fn a_browser_is_known_by_its_endpoint_and_the_oldest_makes_room() {
    let mut notes = Notes::default();
    let mut ended = 0;
    for n in 0..MOST_BROWSERS + 2 {
        let (entry, at) = (push("an", &format!("https://push.example/{n}")), NOW.plus_ms(n as i64));
        let records = written(notes.change(&sample(), "k", "an".into(), at, entry));
        ended += records.iter().filter(|record| !record.open).count();
        records.iter().for_each(|record| notes.fold(record));
    }
    let endpoints: Vec<_> =
        notes.browsers("an").into_iter().map(|browser| browser.endpoint).collect();
    assert_eq!((endpoints.len(), ended), (MOST_BROWSERS, 2));
    assert_eq!(endpoints[0], "https://push.example/11", "the newest first");
    assert!(!endpoints.contains(&"https://push.example/1".to_owned()));
    // The same browser with another person at it.
    let taken_over = written(change(&notes, "k", push("binh", "https://push.example/5")));
    taken_over.iter().for_each(|record| notes.fold(record));
    assert_eq!((taken_over[0].rev, taken_over.len()), (2, 1));
    assert_eq!((notes.browsers("an").len(), notes.browsers("binh").len()), (9, 1));
}

#[test]
fn invented_browsers_do_not_push_out_those_that_work() {
    let mut notes = Notes::default();
    let subscribe = |notes: &mut Notes, n: usize| {
        let (entry, at) = (push("an", &format!("https://push.example/{n}")), NOW.plus_ms(n as i64));
        let records = written(notes.change(&sample(), "k", "an".into(), at, entry));
        records.iter().for_each(|record| notes.fold(record));
        records[0].id.clone()
    };
    for n in 0..MOST_BROWSERS {
        let entry = subscribe(&mut notes, n);
        notes.took(&entry);
    }
    for n in 100..150 {
        subscribe(&mut notes, n);
    }
    let endpoints = |notes: &Notes| {
        notes.browsers("an").into_iter().map(|browser| browser.endpoint).collect::<Vec<_>>()
    };
    let all = endpoints(&notes);
    assert_eq!(all.len(), MOST_BROWSERS + 1, "{all:?}");
    assert_eq!(all[0], "https://push.example/149");
    assert!((0..MOST_BROWSERS).all(|n| all.contains(&format!("https://push.example/{n}"))));
    // A new one that works takes the place of the oldest.
    let entry = subscribe(&mut notes, 200);
    notes.took(&entry);
    subscribe(&mut notes, 201);
    let all = endpoints(&notes);
    assert_eq!(all.len(), MOST_BROWSERS + 1, "{all:?}");
    assert!(!all.contains(&"https://push.example/0".to_owned()));
}

#[test]
fn a_browser_is_not_a_way_into_the_centre() {
    let mut on = sample();
    on.allow = crate::egress::address::Allow::parse(&["127.0.0.0/8".to_owned()]).unwrap();
    let (notes, inside) = (Notes::default(), push("an", "http://127.0.0.1:8080/push"));
    assert!(is_refused(&notes.change(&on, "k", "an".into(), NOW, inside)));
}

#[test]
fn what_is_over_is_forgotten_after_a_while_and_browsers_never() {
    let mut notes = Notes::default();
    for (key, entry) in [("a", absence("an", 0, 1)), ("p", push("an", "https://push.example/"))] {
        written(change(&notes, key, entry)).iter().for_each(|record| notes.fold(record));
    }
    let redeemed = OnCallRecord {
        id: link_id("d"),
        rev: 1,
        open: true,
        by: "an".into(),
        at: NOW,
        entry: OnCallEntry::Redeemed {
            alert: sen_model::AlertId::from_text("a"),
            person: "an".into(),
        },
    };
    notes.fold(&redeemed);
    notes.prune(NOW.plus_ms(LINK_MS));
    assert!(notes.is_redeemed("d"), "as long as the link would work");
    notes.prune(NOW.plus_ms(LINK_MS + MEMORY_MS));
    assert!(!notes.is_redeemed("d"));
    assert_eq!(notes.open().len(), 1);
    assert_eq!(notes.browsers("an").len(), 1);
}
