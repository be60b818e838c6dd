//! Watches `rules.toml`: a new version is taken as a whole, and only if nothing is wrong with it.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sen_chassis::{Health, Problem, Shutdown};
use sen_model::{Registry, Rule};
use tokio::sync::watch;

use crate::{BindError, rules};

/// The part of the service that the file's health is told under.
const PART: &str = "rules";
/// Problems logged of one bad version, at most; `sen check` tells them all.
const MOST_LOGGED: usize = 20;

/// How often a follower looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Follows the rules file in a process that does not judge.
pub struct RulesFollower {
    file: RuleFile,
    rules: watch::Sender<Arc<Vec<Rule>>>,
    registry: Arc<Registry>,
    health: Health,
}

impl RulesFollower {
    /// Reads the file.
    pub fn bind(path: PathBuf, registry: Arc<Registry>, health: Health) -> Result<Self, BindError> {
        let (file, rules) = RuleFile::open(path, &registry)?;
        Ok(Self { file, rules: watch::Sender::new(Arc::new(rules)), registry, health })
    }

    /// The rules that the file has without a mistake.
    pub fn rules(&self) -> watch::Receiver<Arc<Vec<Rule>>> {
        self.rules.subscribe()
    }

    /// Looks until asked to stop.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut every = tokio::time::interval(LOOK_INTERVAL);
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                _ = every.tick() => {}
            }
            if let Some(rules) = self.file.changed(&self.registry, &self.health) {
                self.rules.send_replace(Arc::new(rules));
            }
        }
    }
}

/// The rules file as it was last read.
pub(crate) struct RuleFile {
    path: PathBuf,
    seen: Option<Saved>,
    /// As it was at the last look.
    looked: Option<Saved>,
}

/// Time and length of a file: what changes when somebody saves it.
type Saved = (SystemTime, u64);

impl RuleFile {
    /// Reads the rules for the start: here a problem is fatal.
    pub(crate) fn open(path: PathBuf, registry: &Registry) -> Result<(Self, Vec<Rule>), BindError> {
        let mut file = Self { path, seen: None, looked: None };
        file.seen = file.look();
        let text = std::fs::read_to_string(&file.path)
            .map_err(|source| BindError::RuleFile { path: file.path.clone(), source })?;
        let rules = rules::parse(&text, registry).map_err(BindError::Problems)?;
        Ok((file, rules))
    }

    fn look(&self) -> Option<Saved> {
        let metadata = std::fs::metadata(&self.path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }

    /// The rules of a new version of the file, if there is one and nothing is wrong with it. A bad
    /// version is told once; the rules in force stay.
    pub(crate) fn changed(&mut self, registry: &Registry, health: &Health) -> Option<Vec<Rule>> {
        let now = self.look();
        // One that is other than a look ago may still be being written.
        let is_settled = std::mem::replace(&mut self.looked, now) == now;
        if now == self.seen || now.is_none() || !is_settled {
            return None;
        }
        self.seen = now;
        match self.read(registry) {
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
    fn read(&self, registry: &Registry) -> Result<Vec<Rule>, Vec<Problem>> {
        let problem = |message: String| vec![Problem::new("rules.toml", message)];
        let text =
            std::fs::read_to_string(&self.path).map_err(|error| problem(error.to_string()))?;
        let rules = rules::parse(&text, registry)?;
        // Somebody who saves a file empties it first; nobody turns all alerts off that way.
        if rules.is_empty() {
            let how = "it has no rule: to run without any, restart with it as it is";
            return Err(problem(how.to_owned()));
        }
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_taken_when_it_is_settled_and_never_one_without_a_rule() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.toml");
        let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/");
        let read = |name: &str| std::fs::read_to_string(format!("{shipped}{name}")).unwrap();
        let registry =
            sen_model::registry_file::parse(&read("devices.toml"), &read("places.toml")).unwrap();
        std::fs::write(&path, read("rules.toml")).unwrap();
        let (mut file, rules) = RuleFile::open(path.clone(), &registry).unwrap();
        let health = Health::new();
        let mut look = || file.changed(&registry, &health);
        assert_eq!(look(), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(look(), None, "may still be being written");
        assert_eq!(look(), None, "has no rule");
        assert!(health.report()[PART].is_some());
        std::fs::write(&path, read("rules.toml") + "# edited\n").unwrap();
        assert_eq!(look(), None, "may still be being written");
        assert_eq!(look(), Some(rules));
        assert_eq!(health.report()[PART], None);
        assert_eq!(look(), None, "once");
    }
}
