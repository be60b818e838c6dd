//! Pure: which devices a rule judges.

use sen_model::{Device, DeviceId, Selector};

/// Whether the selector takes a device, whatever it measures. Of a device that the registry does
/// not know nothing but its id is known, so only selectors that ask for no more can take it.
pub(crate) fn selects(selector: &Selector, id: &DeviceId, known: Option<&Device>) -> bool {
    let Selector { devices, kinds, areas, fields, tags, metrics: _ } = selector;
    let is_known_and = |is_so: &dyn Fn(&Device) -> bool| known.is_some_and(is_so);
    (devices.is_empty() || devices.contains(id))
        && (kinds.is_empty() || is_known_and(&|device| kinds.contains(&device.kind)))
        && (areas.is_empty() || is_known_and(&|device| areas.contains(&device.area)))
        && (fields.is_empty() || is_known_and(&|device| fields.contains(&device.field)))
        && (tags.is_empty()
            || is_known_and(&|device| device.tags.iter().any(|tag| tags.contains(tag))))
}
