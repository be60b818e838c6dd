//! The arguments of `sen export`, checked: text in, values or every mistake out.

use std::path::{Path, PathBuf};

use clap::Args;
use sen_chassis::Problem;
use sen_export::schedule::Day;
use sen_export::{Names, Resolution};
use sen_model::Timestamp;
use sen_store::Span;
use sen_table::Format;

/// Write readings or summaries to a file.
///
/// Each list takes several names (--area 28261 29869). What is left out asks for nothing.
#[derive(Args)]
pub(crate) struct Command {
    /// Folder with sen.toml, devices.toml and the rest.
    #[arg(long, default_value = "config")]
    pub(crate) config: PathBuf,
    /// Data folder of the centre, which may be running.
    #[arg(long, default_value = "data")]
    pub(crate) data: PathBuf,
    /// The file to write, or - for standard output.
    #[arg(long)]
    out: Option<String>,
    /// csv, ndjson or parquet; by the ending of the file if not given.
    #[arg(long)]
    format: Option<String>,
    /// Codes of communes and wards.
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    area: Vec<String>,
    /// socio_economy, security, transport, environment, public_services.
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    field: Vec<String>,
    /// Kinds of devices, as in devices.toml.
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    kind: Vec<String>,
    /// Metrics.
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    metric: Vec<String>,
    /// Devices.
    #[arg(long, num_args = 1.., value_delimiter = ',')]
    device: Vec<String>,
    /// First time: 2026-11-23 (its beginning in Vietnam) or 2026-11-23T14:00:00+07:00.
    #[arg(long)]
    from: Option<String>,
    /// First time that is not in it any more.
    #[arg(long)]
    to: Option<String>,
    /// raw for readings; 1m, 15m, 1h or 1d for summaries of that length.
    #[arg(long, default_value = "raw")]
    tier: String,
}

/// What was asked for; the names are not yet known to be any.
#[derive(Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) names: Names,
    pub(super) resolution: Resolution,
    pub(super) span: Span,
    pub(super) format: Format,
    pub(super) out: String,
}

impl Command {
    /// The values, or every mistake.
    pub(super) fn wanted(&self) -> Result<Wanted, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut note = |key: &str, message: String| problems.push(Problem::new(key, message));
        let out = self.out.clone().filter(|out| !out.is_empty());
        if out.is_none() {
            note("--out", "name the file to write, or - for standard output".to_owned());
        }
        let format = format(self.format.as_deref(), out.as_deref());
        let format = format.map_err(|message| note("--format", message)).ok();
        let resolution = self.tier.parse().map_err(|message| note("--tier", message)).ok();
        let mut time = |key, text: &Option<String>, missing| match text {
            None => Some(missing),
            Some(text) => instant(text).map_err(|message| note(key, message)).ok(),
        };
        let from = time("--from", &self.from, Span::ALL.from);
        let to = time("--to", &self.to, Span::ALL.to);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            note("--to", format!("{to} is not after {from}: nothing lies between"));
        }
        let names = Names {
            areas: self.area.clone(),
            fields: self.field.clone(),
            kinds: self.kind.clone(),
            metrics: self.metric.clone(),
            devices: self.device.clone(),
        };
        let wanted = (|| {
            let (resolution, format, out) = (resolution?, format?, out?);
            Some(Wanted { names, resolution, span: Span { from: from?, to: to? }, format, out })
        })();
        wanted.filter(|_| problems.is_empty()).ok_or(problems)
    }
}

fn format(named: Option<&str>, out: Option<&str>) -> Result<Format, String> {
    let ending = || out.and_then(|out| Path::new(out).extension()?.to_str());
    match named.or_else(ending) {
        Some(name) => name.parse().map_err(|error: sen_table::UnknownFormat| error.to_string()),
        None => Err("say which: csv, ndjson or parquet".to_owned()),
    }
}

fn instant(text: &str) -> Result<Timestamp, String> {
    if let Some(day) = Day::parse(text) {
        return Ok(day.start());
    }
    text.parse().map_err(|error: sen_model::time::InvalidTime| format!("{error}, nor a date"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        command: Command,
    }

    fn wanted(line: &str) -> Result<Wanted, Vec<Problem>> {
        Line::parse_from(line.split(' ')).command.wanted()
    }

    #[test]
    fn a_whole_line_is_understood() {
        let line = "export --out a.csv --area 28261,29869 --area 28270 --metric ph do_mg_l \
            --from 2026-11-23 --to 2026-11-23T12:00:00Z --tier 1h";
        let wanted = wanted(line).unwrap();
        assert_eq!(wanted.names.areas, ["28261", "29869", "28270"]);
        assert_eq!(wanted.names.metrics, ["ph", "do_mg_l"]);
        assert_eq!(wanted.format, Format::Csv);
        assert_eq!(wanted.resolution, Resolution::Of(sen_model::Tier::Hour));
        let (from, to) = (wanted.span.from.to_string(), wanted.span.to.to_string());
        assert_eq!(from, "2026-11-23T00:00:00.000+07:00");
        assert_eq!(to, "2026-11-23T19:00:00.000+07:00");
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let keys = |line: &str| -> Vec<String> {
            wanted(line).unwrap_err().into_iter().map(|problem| problem.key).collect()
        };
        assert_eq!(keys("export"), ["--out", "--format"]);
        let line = "export --out x.xlsx --tier 2h --from yesterday --to 2026-02-30";
        assert_eq!(keys(line), ["--format", "--tier", "--from", "--to"]);
        assert_eq!(keys("export --out x.csv --from 2026-11-23 --to 2026-11-23"), ["--to"]);
    }
}
