//! Which topics there are, who may publish on them and who may subscribe to them.

/// Where alerts go out; nobody but Sen publishes there.
const ALERTS: [&str; 3] = ["sen", "v1", "alerts"];
/// Where orders to devices go out, as `cmd/{client}/…`; nobody but Sen publishes there.
const COMMANDS: &str = "cmd";

/// What a topic is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose<'a> {
    /// `sen/v1/{device}/telemetry`: readings of this device.
    Telemetry(&'a str),
    /// `sen/v1/{device}/event`: happenings reported by this device.
    Event(&'a str),
    /// Only Sen publishes here: `sen/v1/alerts/…`, `cmd/…`, and `$…` as MQTT has it.
    Reserved,
    /// No convention has this topic.
    Unknown,
}

/// What `topic` is for, in Sen's own convention.
pub(crate) fn purpose(topic: &str) -> Purpose<'_> {
    if is_reserved(topic) {
        return Purpose::Reserved;
    }
    let mut levels = topic.split('/');
    match (levels.next(), levels.next(), levels.next(), levels.next(), levels.next()) {
        (Some("sen"), Some("v1"), Some(device), Some("telemetry"), None) => {
            Purpose::Telemetry(device)
        }
        (Some("sen"), Some("v1"), Some(device), Some("event"), None) => Purpose::Event(device),
        _ => Purpose::Unknown,
    }
}

/// Whether only Sen publishes on `topic`, whatever the convention.
pub(crate) fn is_reserved(topic: &str) -> bool {
    let mut levels = topic.split('/');
    let first = levels.next();
    topic.starts_with('$')
        || first == Some(COMMANDS)
        || (first == Some(ALERTS[0])
            && levels.next() == Some(ALERTS[1])
            && levels.next() == Some(ALERTS[2]))
}

/// Whether `client` may subscribe to `filter`: `sen/v1/alerts/#`, `cmd/{client}/#`, and any filter
/// that matches only topics those two match. Shared subscriptions (`$share/…`) are not among them.
pub(crate) fn may_subscribe(client: &str, filter: &str) -> bool {
    // A filter is within `prefix/#` exactly when its first levels are the prefix, letter by letter:
    // any wildcard among them would match a topic outside.
    begins_with(filter, &ALERTS)
        || (!client.is_empty()
            && !client.contains(['+', '#', '/'])
            && begins_with(filter, &[COMMANDS, client]))
}

fn begins_with(filter: &str, prefix: &[&str]) -> bool {
    let mut levels = filter.split('/');
    prefix.iter().all(|wanted| levels.next() == Some(*wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn topics_have_one_purpose() {
        let cases = [
            ("sen/v1/stn-1/telemetry", Purpose::Telemetry("stn-1")),
            ("sen/v1/cam-1/event", Purpose::Event("cam-1")),
            ("sen/v1/alerts/82/x", Purpose::Reserved),
            ("sen/v1/alerts", Purpose::Reserved),
            ("sen/v1/alerts/telemetry", Purpose::Reserved),
            ("cmd/stn-1/reboot", Purpose::Reserved),
            ("$SYS/broker/uptime", Purpose::Reserved),
            ("sen/v1/stn-1/telemetry/x", Purpose::Unknown),
            ("sen/v1/stn-1", Purpose::Unknown),
            ("/sen/v1/stn-1/telemetry", Purpose::Unknown),
            ("", Purpose::Unknown),
        ];
        for (topic, wanted) in cases {
            assert_eq!(purpose(topic), wanted, "{topic}");
        }
    }

    #[test]
    fn only_alerts_and_own_commands_can_be_subscribed_to() {
        let allowed = ["sen/v1/alerts/#", "sen/v1/alerts/+/a", "sen/v1/alerts", "cmd/stn-1/#"];
        for filter in allowed {
            assert!(may_subscribe("stn-1", filter), "{filter}");
        }
        let refused = [
            "#",
            "+/#",
            "sen/#",
            "sen/v1/+/#",
            "sen/+/alerts/#",
            "sen/v1/alertsx/#",
            "cmd/#",
            "cmd/+/#",
            "cmd/stn-2/#",
            "$SYS/#",
            "$share/g/sen/v1/alerts/#",
            "sen/v1/stn-1/telemetry",
        ];
        for filter in refused {
            assert!(!may_subscribe("stn-1", filter), "{filter}");
        }
        for client in ["+", "#", "", "a/b"] {
            assert!(!may_subscribe(client, &format!("cmd/{client}/x")), "{client}");
        }
    }

    /// MQTT's matching, level by level, written as simply as can be.
    fn matches(topic: &[&str], filter: &[&str]) -> bool {
        match (topic, filter) {
            (_, ["#"]) => true,
            ([], []) => true,
            ([level, topic @ ..], [wanted, filter @ ..]) => {
                (*wanted == "+" || wanted == level) && matches(topic, filter)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn an_allowed_filter_never_matches_anything_else(
            topic in proptest::collection::vec("(sen|v1|alerts|cmd|me|x)", 1..6),
            filter in proptest::collection::vec("(sen|v1|alerts|cmd|me|x|\\+)", 1..6),
            tail in any::<bool>(),
        ) {
            let mut levels: Vec<&str> = filter.iter().map(String::as_str).collect();
            if tail {
                levels.push("#");
            }
            let topic: Vec<&str> = topic.iter().map(String::as_str).collect();
            if may_subscribe("me", &levels.join("/")) && matches(&topic, &levels) {
                prop_assert!(is_reserved(&topic.join("/")));
                prop_assert!(topic[0] == "sen" || topic[1] == "me");
            }
        }
    }
}
