//! `sen export`: readings or summaries to a file, beside a centre that may be running.
//!
//! It opens the store to read only and sees what was committed before it began. An operator may
//! export every reading; events, which can tell of persons, are in the log and not in the store.

mod arguments;
mod progress;

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use sen_chassis::Problem;
use sen_export::file::{Beside, Measured};
use sen_export::{Job, Known, Resolution, Selection, columns};
use sen_model::Registry;
use sen_store::{Span, Store};
use sen_table::{Encoder, Format};

pub(crate) use arguments::Command;
use arguments::Wanted;
use progress::Progress;

use crate::config::Settings;
use crate::past;

/// An export that can begin.
pub(crate) struct Prepared {
    store: Store,
    registry: Arc<Registry>,
    selection: Selection,
    resolution: Resolution,
    span: Span,
    format: Format,
    out: Out,
}

/// Checks everything before anything is written: every mistake at once, or a store that cannot be
/// opened.
pub(crate) fn prepare(command: Command) -> Result<anyhow::Result<Prepared>, Vec<Problem>> {
    let (settings, wanted) = match (Settings::read(&command.config), command.wanted()) {
        (Ok(settings), Ok(wanted)) => (settings, wanted),
        (settings, wanted) => {
            let problems = settings.err().into_iter().chain(wanted.err());
            return Err(problems.flatten().collect());
        }
    };
    let store = match past::open(&settings, &command.data) {
        Ok(store) => store,
        Err(error) => return Ok(Err(error)),
    };
    let heard: Vec<_> = store.series().into_iter().map(|(_, key)| key).collect();
    let known = Known::of(&settings.registry).and_heard(&heard);
    let selection = known.select(&wanted.names).map_err(|wrong| {
        let problem = |(list, message): (sen_export::List, _)| {
            Problem::new(format!("--{}", list.as_str()), message)
        };
        wrong.into_iter().map(problem).collect::<Vec<_>>()
    })?;
    let Wanted { resolution, span, format, out, .. } = wanted;
    let registry = settings.registry;
    let prepared = Out::open(&out)
        .with_context(|| format!("cannot write {out}"))
        .map(|out| Prepared { store, registry, selection, resolution, span, format, out });
    Ok(prepared)
}

impl Prepared {
    /// Writes the file. A reader of standard output that has enough is a normal end.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let is_piped = matches!(self.out, Out::Standard(_));
        match self.write().await {
            Err(error) if is_piped && has_left(&error) => Ok(()),
            written => written,
        }
    }

    async fn write(self) -> anyhow::Result<()> {
        let fits = |key: &_| self.selection.takes(&self.registry, key);
        let job = Job {
            store: &self.store,
            registry: &self.registry,
            series: Job::chosen(&self.store, fits),
            span: self.span,
            resolution: self.resolution,
        };
        let mut progress = Progress::new(job.series.len(), io::stderr().is_terminal());
        let out = Measured::new(self.out);
        let mut table = Encoder::new(self.format, columns(self.resolution), &[], out)?;
        let done = job
            .write(&mut table, |done, out| {
                progress.tell(done, out.bytes());
                ControlFlow::Continue(())
            })
            .await?;
        let (out, bytes, _) = table.finish()?.finish();
        out.finish()?;
        progress.complete(done, bytes);
        Ok(())
    }
}

/// Whether whoever read the pipe closed it.
fn has_left(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Where the table goes.
enum Out {
    File(Beside),
    Standard(BufWriter<Stdout>),
}

impl Out {
    /// `-` is standard output.
    fn open(name: &str) -> io::Result<Self> {
        match name {
            "-" => Ok(Self::Standard(BufWriter::new(io::stdout()))),
            path => Beside::create(Path::new(path)).map(Self::File),
        }
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::File(file) => file.finish(),
            Self::Standard(mut out) => out.flush(),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(out) => out.write(bytes),
            Self::Standard(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(out) => out.flush(),
            Self::Standard(out) => out.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use sen_table::{Cell, TableError};

    use super::*;

    /// A pipe that fails at the first byte.
    struct Failing(io::ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    fn written(format: Format, kind: io::ErrorKind) -> Result<(), TableError> {
        let columns = columns(Resolution::Raw);
        let mut table = Encoder::new(format, columns.clone(), &[], BufWriter::new(Failing(kind)))?;
        let row = vec![Cell::Absent; columns.len()];
        for _ in 0..10_000 {
            table.row(&row)?;
        }
        Ok(table.finish()?.flush()?)
    }

    #[test]
    fn a_reader_that_left_is_told_from_a_failure_in_every_format() {
        for format in Format::ALL {
            let error = |kind| {
                let error = written(format, kind).expect_err("nothing can be written");
                anyhow::Error::from(sen_export::WriteError::from(error))
            };
            assert!(has_left(&error(io::ErrorKind::BrokenPipe)), "{format:?}");
            assert!(!has_left(&error(io::ErrorKind::StorageFull)), "{format:?}");
        }
    }
}
