//! Makes the files that are due, one export after the other, and tidies up behind itself.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sen_chassis::Shutdown;
use sen_model::time::DAY_MS;
use sen_model::{MetricSpec, Timestamp};
use sen_store::Span;
use sen_table::{Encoder, TableError};

use crate::description::{Made, Package, Resource, published};
use crate::exports::Export;
use crate::file::{Beside, Measured};
use crate::schedule::Day;
use crate::write::{Job, WriteError};
use crate::{Exporter, Ports, columns};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long an export that failed rests before it is tried again, in milliseconds.
const REST_MS: i64 = 60_000;
/// The description beside the files.
const DESCRIPTION: &str = "datapackage.json";

/// Why a file could not be made.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("cannot use the folder")]
    Io(#[from] io::Error),
    #[error("cannot read {DESCRIPTION}: mend it, or move the folder away to begin anew")]
    Description(#[from] serde_json::Error),
}

impl From<TableError> for Failure {
    fn from(error: TableError) -> Self {
        Self::Write(error.into())
    }
}

/// Runs until asked to stop.
pub(crate) async fn run(exporter: Exporter, shutdown: Shutdown) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    // When each export, by its place, may be tried again after a failure.
    let mut resting: BTreeMap<usize, Timestamp> = BTreeMap::new();
    // The hour for which each export, by its place, is done.
    let mut done: BTreeMap<usize, Timestamp> = BTreeMap::new();
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            _ = tick.tick() => {}
        }
        let now = Timestamp::from_millis(exporter.ports.clock.now_ms());
        // Known from the first sweep on, soon after the start.
        let Some(begun) = exporter.ports.store.begun() else { continue };
        for (at, export) in exporter.exports.iter().enumerate() {
            let hour = export.schedule.latest(now);
            let rests = resting.get(&at).is_some_and(|until| now < *until);
            if rests || done.get(&at) == Some(&hour) {
                continue;
            }
            let turn = Turn { exporter: &exporter, export, shutdown: &shutdown, begun };
            match turn.take(now).await {
                Ok(()) => {
                    done.insert(at, hour);
                    if resting.remove(&at).is_some() {
                        tracing::warn!(export = export.id, "the export works again");
                    }
                }
                Err(Failure::Write(WriteError::Stopped)) => return,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    if resting.insert(at, now.plus_ms(REST_MS)).is_none() {
                        tracing::error!(
                            export = export.id,
                            error,
                            "an export failed; it is tried again every minute"
                        );
                    }
                }
            }
        }
    }
}

/// One export at its hour.
struct Turn<'t> {
    exporter: &'t Exporter,
    export: &'t Export,
    shutdown: &'t Shutdown,
    /// When the store was begun.
    begun: Timestamp,
}

impl Turn<'_> {
    /// Makes every file that is due. The description is written after each of them, so that a
    /// crash costs one file.
    async fn take(&self, now: Timestamp) -> Result<(), Failure> {
        let (export, registry) = (self.export, &self.exporter.ports.registry);
        let folder = self.exporter.ports.folder.join(&export.folder).join(&export.id);
        fs::create_dir_all(&folder)?;
        let description = folder.join(DESCRIPTION);
        let mut package = match fs::read(&description) {
            Ok(bytes) => {
                let before: Package = serde_json::from_slice(&bytes)?;
                Package::new(export, registry, before.resources)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Package::new(export, registry, Vec::new())
            }
            Err(error) => return Err(error.into()),
        };
        let looked = package.looked(export, |resource| is_there(&folder, resource));
        for day in self.still_stored(export.schedule.due(&looked, now), now) {
            let made = self.make(&folder, day, &package, now).await?;
            package.resources.retain(|resource| resource.path != made.path);
            package.resources.push(made);
            package.resources.sort_by(|a, b| (&a.day, &a.path).cmp(&(&b.day, &b.path)));
            self.forget_the_oldest(&folder, &mut package)?;
            write_whole(&description, &serde_json::to_vec_pretty(&package)?)?;
        }
        Ok(())
    }

    /// Leaves out the days of which the store has nothing any more, or never had: their files would
    /// look complete. What was published of them stays.
    fn still_stored(&self, mut days: Vec<Day>, now: Timestamp) -> Vec<Day> {
        let (export, Ports { kept, registry, .. }) = (self.export, &self.exporter.ports);
        let days_of = |spec: &MetricSpec| kept.kept_days(&spec.metric, export.resolution.tier());
        let least = published(export, registry).map(days_of).min().unwrap_or_default();
        let whole_from = self.begun.max(now.plus_ms(-i64::from(least) * DAY_MS));
        let gone = days.partition_point(|day| day.end() <= whole_from);
        if let Some(last) = gone.checked_sub(1).map(|last| days[last]) {
            tracing::info!(
                export = export.id,
                first = %days[0],
                last = %last,
                store_begun = %self.begun,
                kept_days = least,
                "days are left as they are: the store no longer has them, or never had"
            );
        }
        days.split_off(gone)
    }

    /// Makes the file of a day. One that is there and would be the same, or lose rows, is left as it
    /// is.
    async fn make(
        &self,
        folder: &Path,
        day: Day,
        package: &Package,
        checked: Timestamp,
    ) -> Result<Resource, Failure> {
        let (export, ports) = (self.export, &self.exporter.ports);
        let series =
            Job::chosen(&ports.store, |key| export.selection.takes_openly(&ports.registry, key));
        let job = Job {
            store: &ports.store,
            registry: &ports.registry,
            series,
            span: Span { from: day.start(), to: day.end() },
            resolution: export.resolution,
        };
        let path = folder.join(export.file_of(day));
        let period = format!("{}/{}", day.start(), day.end());
        let notes = [
            ("licence", export.licence.as_str()),
            ("source", export.source.as_str()),
            ("title", export.title.vi.as_str()),
            ("title_en", export.title.en.as_str()),
            ("period", period.as_str()),
        ];
        let out = Measured::new(Beside::create(&path)?);
        let mut table = Encoder::new(export.format, columns(export.resolution), &notes, out)?;
        let go_on = |_, _: &mut Measured<Beside>| match self.shutdown.is_requested() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let rows = job.write(&mut table, go_on).await?.rows;
        let (file, bytes, sha256) = table.finish()?.finish();
        let resource = Resource::new(export, day, Made { bytes, sha256, rows, checked });
        let before = package.resources.iter().find(|before| before.path == resource.path);
        match before.filter(|before| is_there(folder, before)) {
            Some(before) if before.hash == resource.hash => return Ok(resource),
            Some(before) if resource.lacks_rows_of(before) => {
                tracing::warn!(
                    export = export.id,
                    day = %day,
                    published = before.rows,
                    stored = rows,
                    "the store has fewer rows than are published: the published file is kept"
                );
                let mut kept = before.clone();
                kept.checked = checked;
                return Ok(kept);
            }
            _ => file.finish()?,
        }
        tracing::info!(export = export.id, day = %day, rows, again = before.is_some(), "exported");
        Ok(resource)
    }

    /// Deletes the oldest files beyond those that are kept; only what the description names.
    fn forget_the_oldest(&self, folder: &Path, package: &mut Package) -> io::Result<()> {
        let keep = usize::try_from(self.export.schedule.keep).unwrap_or(usize::MAX);
        let surplus = package.resources.len().saturating_sub(keep);
        for resource in package.resources.drain(..surplus) {
            // Its name alone: a description that was tampered with must not reach other folders.
            let name = Path::new(&resource.path).file_name().map(PathBuf::from);
            match name.map(|name| fs::remove_file(folder.join(name))) {
                Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether a file is in the folder as it was published, by its length.
fn is_there(folder: &Path, resource: &Resource) -> bool {
    fs::metadata(folder.join(&resource.path)).is_ok_and(|file| file.len() == resource.bytes)
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = Beside::create(path)?;
    io::Write::write_all(&mut file, bytes)?;
    file.finish()
}
