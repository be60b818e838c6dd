//! How devices hang together: each relation names a device that exists, and none leads back to
//! where it began. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{Entry, Walker};
use crate::name::DeviceId;
use crate::registry::Relations;

/// What a device depends on, and what lies before it: a circle in either makes no sense.
const KEYS: [(&str, Way); 4] = [
    ("gateway", Way::Depends),
    ("power", Way::Depends),
    ("uplink", Way::Depends),
    ("upstream", Way::Flows),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Depends,
    Flows,
}

/// One relation of the file.
struct Link {
    from: String,
    to: DeviceId,
    way: Way,
    key: String,
    span: Range<usize>,
}

/// Every device and relation of the file.
#[derive(Default)]
pub(super) struct Links {
    devices: Vec<String>,
    links: Vec<Link>,
}

impl Links {
    /// The relations of one device.
    pub(super) fn take(&mut self, walker: &mut Walker<'_>, entry: &mut Entry<'_>) -> Relations {
        self.devices.push(entry.id.clone());
        let [gateway, power, uplink, upstream] = KEYS.map(|(key, way)| {
            let span = entry.span_of(key);
            let to: DeviceId = walker.take(entry, key)?;
            let (from, key) = (entry.id.clone(), entry.key(key));
            self.links.push(Link { from, to: to.clone(), way, key, span });
            Some(to)
        });
        Relations { gateway, power, uplink, upstream }
    }

    /// Notes what is wrong with them, once every device is known.
    pub(super) fn check(&self, walker: &mut Walker<'_>) {
        let mut next: BTreeMap<&str, Vec<&Link>> = BTreeMap::new();
        for link in &self.links {
            next.entry(&link.from).or_default().push(link);
        }
        for link in &self.links {
            if !self.devices.iter().any(|device| device == link.to.as_str()) {
                walker.fault(&link.span, &link.key, format!("there is no device `{}`", link.to));
            } else if let Some(circle) = circle(link, &next) {
                walker.fault(&link.span, &link.key, format!("leads back to itself: {circle}"));
            }
        }
    }
}

/// The way along relations of one kind from a link back to the device it belongs to.
fn circle(start: &Link, next: &BTreeMap<&str, Vec<&Link>>) -> Option<String> {
    let mut seen = vec![start.to.as_str()];
    let mut ways = vec![vec![start.from.as_str(), start.to.as_str()]];
    while let Some(way) = ways.pop() {
        let last = way.last().copied()?;
        if last == start.from {
            return Some(way.join(", "));
        }
        let links = next.get(last).into_iter().flatten();
        for link in links.filter(|link| link.way == start.way) {
            if !seen.contains(&link.to.as_str()) || link.to.as_str() == start.from {
                seen.push(link.to.as_str());
                ways.push([way.as_slice(), &[link.to.as_str()]].concat());
            }
        }
    }
    None
}
