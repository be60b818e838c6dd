//! Pure: what an alert about more than one device is about: a pseudo device for an area or for the
//! whole province.

use sen_model::{AreaCode, DeviceId};
use serde::{Deserialize, Serialize};

/// What the ids of areas begin with.
const AREA: &str = "area-";
/// The whole province.
const PROVINCE: &str = "province";

/// A device, or a pseudo device and its area.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Place {
    #[serde(rename = "d")]
    pub(crate) device: DeviceId,
    /// Where it is known to be; none where only the registry knows, or nobody.
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub(crate) area: Option<AreaCode>,
}

impl Place {
    /// What an alert about this device in this area is about.
    pub(crate) fn of(device: &DeviceId, area: Option<&AreaCode>) -> Self {
        Self { device: device.clone(), area: area.cloned() }
    }

    /// One device.
    pub(crate) fn device(id: &DeviceId) -> Self {
        Self { device: id.clone(), area: None }
    }

    /// A commune; none for a code that makes no name.
    pub(crate) fn area(code: &AreaCode) -> Option<Self> {
        let device = DeviceId::new(format!("{AREA}{code}")).ok()?;
        Some(Self { device, area: Some(code.clone()) })
    }

    /// The whole province.
    pub(crate) fn province() -> Option<Self> {
        Some(Self { device: DeviceId::new(PROVINCE).ok()?, area: None })
    }

    /// Whether an id stands for the whole province.
    pub(crate) fn is_province(device: &DeviceId) -> bool {
        device.as_str() == PROVINCE
    }

    /// Whether an id stands for an area or the province, and not for a device.
    pub(crate) fn is_pseudo(device: &DeviceId) -> bool {
        let code = device.as_str().strip_prefix(AREA);
        Self::is_province(device) || code.is_some_and(|code| AreaCode::new(code).is_ok())
    }
}
