//! `sen store copy`: what the store holds, into the archive, while the centre may be running.
//!
//! A forwarder feeds the archive from the day it was named; this sends what was there before. To
//! send anything twice changes nothing, so a copy that broke off is simply started again. Windows
//! that may still change are left to the forwarder, and nothing that was read a while ago is sent:
//! before each try it is read again.

use std::time::Duration;

use anyhow::{Context, bail};
use sen_archive::{Archive, ArchiveError, MOST_REFUSED, Row};
use sen_chassis::backoff::Backoff;
use sen_chassis::clock::Stopwatch;
use sen_model::time::MINUTE_MS;
use sen_model::{SeriesKey, Tier, Timestamp};
use sen_store::{SeriesId, Span, Store};

/// Rows read and sent at once.
const ROWS_AT_ONCE: usize = 10_000;
/// How often to try again while the archive is away, and the pauses between: from, to.
const TRIES: u32 = 10;
const RETRY_FROM: Duration = Duration::from_secs(1);
const RETRY_TO: Duration = Duration::from_secs(30);
/// Windows that ended so lately may still change.
const MARGIN_MS: i64 = 5 * MINUTE_MS;
/// How often the progress is told.
const TELL: Duration = Duration::from_secs(2);
/// Refused rows that are shown; the others are counted.
const SHOWN: u64 = 20;

/// A copy under way.
struct Copy {
    archive: Archive,
    store: Store,
    readings: u64,
    summaries: u64,
    refused: u64,
    failures: u32,
    backoff: Backoff,
    told: Stopwatch,
}

/// Copies everything in a span: readings, and summaries of every tier whose windows begin in it.
pub(crate) async fn run(
    archive: Archive,
    store: Store,
    span: Span,
    now: Timestamp,
) -> anyhow::Result<()> {
    let prepared = archive.prepare().await.context("the archive is not ready")?;
    prepared.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    let mut series = store.series();
    series.sort_by(|(_, one), (_, other)| one.cmp(other));
    let told = Stopwatch::start();
    let mut copy = Copy {
        archive,
        store,
        readings: 0,
        summaries: 0,
        refused: 0,
        failures: 0,
        backoff: Backoff::new(RETRY_FROM, RETRY_TO, series.len() as u64),
        told,
    };
    let ended = now.plus_ms(-MARGIN_MS);
    for (done, (id, key)) in series.iter().enumerate() {
        copy.readings(*id, key, span).await?;
        for tier in Tier::ALL {
            // The start of the window that is open is the end of those that are not.
            let to = span.to.min(tier.start_of(ended));
            copy.summaries(*id, key, tier, Span { to, ..span }).await?;
        }
        copy.tell(done + 1, series.len());
    }
    copy.archive.flush().await?;
    println!(
        "{} series: {} readings and {} summaries are in the archive",
        series.len(),
        copy.readings,
        copy.summaries
    );
    if copy.refused > 0 {
        bail!("{} rows were refused by the archive; everything else is there", copy.refused);
    }
    Ok(())
}

impl Copy {
    async fn readings(
        &mut self,
        id: SeriesId,
        key: &SeriesKey,
        mut span: Span,
    ) -> anyhow::Result<()> {
        loop {
            let points = self.store.points(id, span, ROWS_AT_ONCE).await?;
            let Some(last) = points.last().map(|point| point.event_time) else { return Ok(()) };
            let is_all = points.len() < ROWS_AT_ONCE;
            if !is_all && last == span.from {
                bail!("{key} has more than {ROWS_AT_ONCE} readings at {last}: too many for a page");
            }
            let rows = points.into_iter().map(|point| Row::Reading(key.clone(), point));
            let Some(taken) = self.write(&rows.collect::<Vec<_>>()).await? else { continue };
            self.readings += taken;
            if is_all {
                return Ok(());
            }
            // Of one instant there may be more: it comes again.
            span.from = last;
        }
    }

    async fn summaries(
        &mut self,
        id: SeriesId,
        key: &SeriesKey,
        tier: Tier,
        mut span: Span,
    ) -> anyhow::Result<()> {
        loop {
            let summaries = self.store.summaries(id, tier, span, ROWS_AT_ONCE).await?;
            let Some(last) = summaries.last().map(|summary| summary.start) else { return Ok(()) };
            let is_all = summaries.len() < ROWS_AT_ONCE;
            let rows = summaries.into_iter().map(|summary| Row::Summary(key.clone(), summary));
            let Some(taken) = self.write(&rows.collect::<Vec<_>>()).await? else { continue };
            self.summaries += taken;
            if is_all {
                return Ok(());
            }
            span.from = last.plus_ms(1);
        }
    }

    /// Sends rows; gives how many were taken. None after a pause if the archive is away: the rows
    /// are to be read again.
    async fn write(&mut self, rows: &[Row]) -> anyhow::Result<Option<u64>> {
        let (mut taken, mut rest, mut lot) = (0, rows, rows.len());
        while !rest.is_empty() {
            let (some, after) = rest.split_at(lot.min(rest.len()));
            match self.archive.write(some).await {
                Ok(written) => {
                    taken += (some.len() - written.refused.len()) as u64;
                    for refused in written.refused {
                        self.refused += 1;
                        if self.refused <= SHOWN {
                            eprintln!("refused: {:?}: {}", some[refused.row], refused.reason);
                        }
                    }
                    rest = after;
                    self.failures = 0;
                    self.backoff.succeeded();
                }
                Err(ArchiveError::TooManyRefused { .. }) if lot > MOST_REFUSED => {
                    lot = MOST_REFUSED;
                }
                Err(error) if error.is_retryable() && self.failures < TRIES => {
                    self.failures += 1;
                    let asked = error.retry_after().unwrap_or_default();
                    eprintln!("{error}; trying again");
                    tokio::time::sleep(self.backoff.failed().max(asked)).await;
                    return Ok(None);
                }
                Err(error) => {
                    return Err(error).context("start it again: what is there already stays");
                }
            }
        }
        Ok(Some(taken))
    }

    fn tell(&mut self, done: usize, all: usize) {
        if self.told.elapsed() >= TELL {
            self.told = Stopwatch::start();
            let Self { readings, summaries, .. } = self;
            eprintln!("{done} of {all} series, {readings} readings, {summaries} summaries");
        }
    }
}
