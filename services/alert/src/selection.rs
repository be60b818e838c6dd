//! Pure: which devices a rule judges.

use sen_model::{Device, DeviceId, Selector};

/// Whether the selector takes a device, whatever it measures. A device the registry does not know
/// has neither kind nor area, so only selectors that ask for neither can take it.
pub(crate) fn selects(selector: &Selector, id: &DeviceId, known: Option<&Device>) -> bool {
    let device = selector.devices.is_empty() || selector.devices.contains(id);
    let kind = selector.kinds.is_empty()
        || known.is_some_and(|device| selector.kinds.contains(&device.kind));
    let area = selector.areas.is_empty()
        || known.is_some_and(|device| selector.areas.contains(&device.area));
    device && kind && area
}
