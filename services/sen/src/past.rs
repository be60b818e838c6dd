//! What was measured, for a command that only reads it: the centre may be running beside it.

use std::path::Path;

use anyhow::Context;
use sen_chassis::telemetry;
use sen_store::Store;

use crate::config::Settings;

/// Opens the store below a centre's data folder to read, and telemetry for what there is to say.
pub(crate) fn open(settings: &Settings, folder: &Path) -> anyhow::Result<Store> {
    telemetry::install(&settings.telemetry)?;
    let folder = folder.join("store");
    Store::open_to_read(folder.clone(), settings.store.clone()).with_context(|| {
        format!("cannot read {}: pass the data folder of a centre with --data", folder.display())
    })
}
