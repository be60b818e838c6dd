//! Watches `rules.toml`: a new version is taken as a whole, and only if nothing is wrong with it.

use std::path::PathBuf;
use std::time::SystemTime;

use sen_chassis::{Health, Problem};
use sen_model::{Registry, Rule};

use crate::{BindError, rules};

/// The part of the service that the file's health is told under.
const PART: &str = "rules";
/// Problems logged of one bad version, at most; `sen check` tells them all.
const MOST_LOGGED: usize = 20;

/// The rules file as it was last read.
pub(crate) struct RuleFile {
    path: PathBuf,
    seen: Option<(SystemTime, u64)>,
}

impl RuleFile {
    /// Reads the rules for the start: here a problem is fatal.
    pub(crate) fn open(path: PathBuf, registry: &Registry) -> Result<(Self, Vec<Rule>), BindError> {
        let mut file = Self { path, seen: None };
        file.seen = file.look();
        let text = std::fs::read_to_string(&file.path)
            .map_err(|source| BindError::RuleFile { path: file.path.clone(), source })?;
        let rules = rules::parse(&text, registry).map_err(BindError::Problems)?;
        Ok((file, rules))
    }

    /// Time and length of the file: what changes when somebody saves it.
    fn look(&self) -> Option<(SystemTime, u64)> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }

    /// The rules of a new version of the file, if there is one and nothing is wrong with it. A bad
    /// version is told once; the rules in force stay.
    pub(crate) fn changed(&mut self, registry: &Registry, health: &Health) -> Option<Vec<Rule>> {
        let now = self.look();
        if now == self.seen || now.is_none() {
            return None;
        }
        self.seen = now;
        let parsed = match std::fs::read_to_string(&self.path) {
            Ok(text) => rules::parse(&text, registry),
            Err(error) => Err(vec![Problem::new("rules.toml", error.to_string())]),
        };
        match parsed {
            Ok(rules) => {
                health.well(PART);
                Some(rules)
            }
            Err(problems) => {
                for problem in problems.iter().take(MOST_LOGGED) {
                    tracing::error!(key = problem.key, problem = problem.message, "bad rule");
                }
                tracing::error!(problems = problems.len(), "rules not taken, the old ones stay");
                let count = problems.len();
                health.ill(PART, format!("{count} problems in rules.toml; the old rules stay"));
                None
            }
        }
    }
}
