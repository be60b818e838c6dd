//! A service of `docker-compose.yml` as a process of this machine: the same program, arguments,
//! variables and files. What a container sees as `/etc/sen` is a folder of its own here, what it
//! calls `nats-1:4222` a port on loopback; a path or an address that cannot be translated is an error.
//!
//! What is not the same, and why:
//!
//! - `deploy/nats/durable.conf` is left out before NATS 2.10, which does not know what it says.
//! - Mosquitto runs as whoever runs the story, not as a user of its own.
//! - VictoriaMetrics gets less memory and logs less; Sen logs as text, from `warn` on.
//! - Limits, users and the read-only root are Docker's, and are only looked at (`tests/deploy`).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;
use sen_ports::Port;
use tempfile::TempDir;

use crate::PATIENCE;
use crate::centre::{binary, copy, root};
use crate::compose::{Composition, Service, Source, Variables};
use crate::process::Process;

/// What is inside an image that can be started here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Sen,
    Nats,
    Mosquitto,
    Victoria,
}

impl Program {
    fn of(image: &str) -> anyhow::Result<Self> {
        let name = image.split(':').next().unwrap_or_default();
        Ok(match name {
            "sen" => Self::Sen,
            "sen-nats" => Self::Nats,
            "eclipse-mosquitto" => Self::Mosquitto,
            "sen-victoria-metrics" => Self::Victoria,
            other => bail!("no program of this machine stands for the image {other}"),
        })
    }

    fn path(self) -> PathBuf {
        match self {
            Self::Sen => binary(),
            Self::Nats => "nats-server".into(),
            Self::Mosquitto => "/usr/sbin/mosquitto".into(),
            Self::Victoria => "victoria-metrics".into(),
        }
    }

    /// Ports it may listen on inside its container.
    fn ports(self) -> &'static [u16] {
        match self {
            Self::Sen => &[1883, 8080, 9090],
            Self::Nats => &[4222, 6222, 8222],
            Self::Mosquitto => &[1883],
            Self::Victoria => &[8428],
        }
    }

    /// Arguments for the sake of the stories.
    fn more_arguments(self) -> &'static [&'static str] {
        match self {
            Self::Victoria => &["-memory.allowedBytes=64MB", "-loggerLevel=ERROR"],
            _ => &[],
        }
    }

    fn more_variables(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Sen => &[("SEN__TELEMETRY__FILTER", "warn"), ("SEN__TELEMETRY__FORMAT", "text")],
            _ => &[],
        }
    }
}

/// Folders and ports for the services of one composition; gone when dropped.
#[derive(Debug)]
pub struct Host {
    composition: Composition,
    folder: TempDir,
    ports: BTreeMap<(String, u16), Port>,
}

impl Host {
    /// Reads the file, and chooses ports for these services.
    pub fn new(variables: &Variables, services: &[&str]) -> anyhow::Result<Self> {
        let composition = Composition::read(variables)?;
        let mut host = Self { composition, folder: tempfile::tempdir()?, ports: BTreeMap::new() };
        for name in services {
            let program = Program::of(&host.composition.service(name)?.image)?;
            for port in program.ports() {
                host.ports.insert(((*name).to_owned(), *port), Port::hold()?);
            }
        }
        Ok(host)
    }

    /// A service of it, with variables that are not in the file; not started yet.
    pub fn container(&self, name: &str, more: &Variables) -> anyhow::Result<Container> {
        let service = self.composition.service(name)?.clone();
        let program = Program::of(&service.image)?;
        let place = Place { host: self, name, service: &service, program };
        place.fill().with_context(|| format!("the files of {name}"))?;
        let told = |texts: &[String]| -> anyhow::Result<Vec<String>> {
            texts.iter().map(|text| place.translate(text)).collect()
        };
        let mut arguments = told(&service.command)?;
        if program == Program::Mosquitto {
            ensure!(service.command.first().is_some_and(|word| word == "mosquitto"));
            arguments.remove(0);
        }
        arguments.extend(program.more_arguments().iter().map(|word| (*word).to_owned()));
        let mut variables = Variables::new();
        for (key, value) in &service.environment {
            variables.insert(key.clone(), place.translate(value)?);
        }
        let extra = program.more_variables().iter().map(|(k, v)| ((*k).into(), (*v).into()));
        variables.extend(extra.chain(more.clone()));
        Ok(Container {
            name: name.to_owned(),
            process: None,
            program,
            arguments,
            variables,
            health: told(&service.healthcheck.test)?,
            root: place.root(),
            ports: place.own_ports(),
        })
    }
}

/// One service on the way to be a container.
struct Place<'a> {
    host: &'a Host,
    name: &'a str,
    service: &'a Service,
    program: Program,
}

impl Place<'_> {
    /// What the container sees as `/`.
    fn root(&self) -> PathBuf {
        self.host.folder.path().join(self.name)
    }

    fn own_ports(&self) -> BTreeMap<u16, u16> {
        let own = self.host.ports.iter().filter(|((name, _), _)| name == self.name);
        own.map(|((_, port), chosen)| (*port, chosen.number())).collect()
    }

    fn outside(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Makes its volumes, mounts, memory folders and secrets.
    fn fill(&self) -> anyhow::Result<()> {
        for path in self.service.in_memory() {
            fs::create_dir_all(self.outside(path))?;
        }
        for mount in self.service.mounts()? {
            let target = self.outside(mount.target);
            match mount.source {
                Source::Volume(_) => fs::create_dir_all(target)?,
                Source::Bound(path) if root().join(path).is_dir() => {
                    copy(&root().join(path), &target)?;
                }
                Source::Bound(path) => drop(fs::copy(root().join(path), target)?),
            }
        }
        for name in &self.service.secrets {
            let secret = self.outside("/run/secrets").join(name);
            fs::create_dir_all(self.outside("/run/secrets"))?;
            fs::write(secret, "a-secret-of-a-story")?;
        }
        match self.program {
            Program::Nats => self.rewrite_folder("/etc/nats"),
            Program::Mosquitto => self.rewrite_mosquitto(),
            Program::Sen if self.outside("/etc/sen/sources.toml").exists() => {
                self.rewrite_sources()
            }
            _ => Ok(()),
        }
    }

    fn rewrite_folder(&self, folder: &str) -> anyhow::Result<()> {
        for entry in fs::read_dir(self.outside(folder))? {
            let path = entry?.path();
            let old = path.ends_with("durable.conf") && !syncs_always()?;
            let text = if old { String::new() } else { self.without_comments(&path)? };
            fs::write(path, text)?;
        }
        Ok(())
    }

    fn without_comments(&self, path: &Path) -> anyhow::Result<String> {
        let text = fs::read_to_string(path)?;
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
        let lines: Vec<String> =
            lines.map(|line| self.translate(line)).collect::<Result<_, _>>()?;
        Ok(lines.join("\n") + "\n")
    }

    /// Its listener is a port without an address.
    fn rewrite_mosquitto(&self) -> anyhow::Result<()> {
        let path = self.outside("/etc/mosquitto/mosquitto.conf");
        let text = self.without_comments(&path)?;
        let port = self.own_ports()[&1883];
        ensure!(text.contains("listener 1883\n"), "mosquitto.conf: another listener");
        let text = text.replace("listener 1883\n", &format!("listener {port} 127.0.0.1\n"));
        Ok(fs::write(path, text + "user root\n")?)
    }

    /// Host and port stand apart there.
    fn rewrite_sources(&self) -> anyhow::Result<()> {
        let path = self.outside("/etc/sen/sources.toml");
        let mut sources: toml::Table = fs::read_to_string(&path)?.parse()?;
        let brokers = sources.get_mut("broker").and_then(toml::Value::as_array_mut);
        for broker in brokers.into_iter().flatten().filter_map(toml::Value::as_table_mut) {
            let (host, port) = (broker["host"].as_str(), broker["port"].as_integer());
            let host = host.context("a broker's host is a text")?.to_owned();
            let port = u16::try_from(port.context("a broker's port is a number")?)?;
            // One that no story started is a broker that is away.
            let chosen = self.host.ports.get(&(host, port)).map_or(1, Port::number);
            broker.insert("host".into(), "127.0.0.1".into());
            broker.insert("port".into(), i64::from(chosen).into());
        }
        Ok(fs::write(path, sources.to_string())?)
    }

    /// A text in which every address and path is one of this machine.
    fn translate(&self, text: &str) -> anyhow::Result<String> {
        if let Ok(port) = text.parse::<u16>()
            && let Some(chosen) = self.own_ports().get(&port)
        {
            return Ok(chosen.to_string());
        }
        let named = pieces(text, |c| c.is_ascii_alphanumeric() || "-.:".contains(c));
        let addressed: Vec<String> =
            named.into_iter().map(|piece| self.address(piece)).collect::<Result<_, _>>()?;
        let addressed = addressed.concat();
        let ends = |c: char| !c.is_whitespace() && !"\"'=,[]".contains(c);
        let placed: Vec<String> = pieces(&addressed, ends)
            .into_iter()
            .map(|piece| if piece.starts_with('/') { self.path(piece) } else { Ok(piece.into()) })
            .collect::<Result<_, _>>()?;
        Ok(placed.concat())
    }

    /// `nats-1:4222` or `0.0.0.0:4222` as a port on loopback; anything else as it is.
    fn address(&self, piece: &str) -> anyhow::Result<String> {
        let Some((host, port)) = piece.rsplit_once(':') else { return Ok(piece.to_owned()) };
        let Ok(port) = port.parse::<u16>() else { return Ok(piece.to_owned()) };
        let own = ["0.0.0.0", "127.0.0.1", "localhost"].contains(&host);
        let service = if own { self.name } else { host };
        ensure!(
            self.host.composition.services.contains_key(service),
            "{piece}: no service of docker-compose.yml is called {host}"
        );
        match self.host.ports.get(&(service.to_owned(), port)) {
            Some(chosen) => Ok(chosen.address().to_string()),
            None if own => bail!("{piece}: it does not listen there"),
            // A part that this story does without: nobody listens there.
            None => Ok("127.0.0.1:1".to_owned()),
        }
    }

    fn path(&self, path: &str) -> anyhow::Result<String> {
        if path == "/dev/null" {
            return Ok(path.to_owned());
        }
        let mounts = self.service.mounts()?;
        let secrets = (!self.service.secrets.is_empty()).then_some("/run/secrets");
        let known = mounts.iter().map(|mount| mount.target).chain(self.service.in_memory());
        let within = |target: &str| {
            path.strip_prefix(target).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        ensure!(known.chain(secrets).any(within), "{path}: nothing of {} is there", self.name);
        Ok(self.outside(path).display().to_string())
    }
}

/// Runs of characters of this kind, and what stands between them.
fn pieces(text: &str, kind: impl Fn(char) -> bool) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut begin = 0;
    for (at, one) in text.char_indices() {
        let before = text[begin..at].chars().next_back();
        if before.is_some_and(|before| kind(before) != kind(one)) {
            pieces.push(&text[begin..at]);
            begin = at;
        }
    }
    pieces.push(&text[begin..]);
    pieces
}

/// Whether this machine's NATS knows `sync_interval` (since 2.10).
pub fn syncs_always() -> anyhow::Result<bool> {
    let told = Command::new("nats-server").arg("--version").output()?;
    let told = String::from_utf8(told.stdout)?;
    let version = told.trim().rsplit('v').next().unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    ensure!(version > (0, 0), "nats-server tells no version: {told}");
    Ok(version >= (2, 10))
}

/// A service as a process that can be killed, paused and started again on the same files and ports.
#[derive(Debug)]
pub struct Container {
    name: String,
    process: Option<Process>,
    program: Program,
    arguments: Vec<String>,
    variables: Variables,
    health: Vec<String>,
    root: PathBuf,
    ports: BTreeMap<u16, u16>,
}

impl Container {
    /// Its name in `docker-compose.yml`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Starts it, or starts it again; [`healthy`](Self::healthy) tells when it is well.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.kill();
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        self.process = Some(Process::start(
            Command::new(self.program.path())
                .args(&self.arguments)
                .env_clear()
                .env("PATH", path)
                .envs(&self.variables)
                .current_dir(&self.root)
                .stdout(Stdio::null())
                .stderr(log),
        )?);
        Ok(())
    }

    /// The variables of its process.
    pub fn variables(&self) -> &Variables {
        &self.variables
    }

    /// Gives it another file of its container, or another word, where it had the file `old`.
    pub fn replace_argument(&mut self, old: &str, new: &str) -> anyhow::Result<()> {
        let old = self.path(old);
        let is_file = new.starts_with('/');
        let new = if is_file { self.path(new).display().to_string() } else { new.to_owned() };
        let argument = self.arguments.iter_mut().find(|argument| Path::new(argument) == old);
        *argument.with_context(|| format!("{} has no argument {}", self.name, old.display()))? =
            new;
        Ok(())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// SIGSTOP: it stands still, and its connections stay open.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.running()?.signal(Signal::STOP)
    }

    /// SIGCONT after [`pause`](Self::pause).
    pub fn resume(&self) -> anyhow::Result<()> {
        self.running()?.signal(Signal::CONT)
    }

    /// SIGTERM, and waits until it has ended.
    pub fn terminate(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        self.running()?.signal(Signal::TERM)?;
        let mut process = self.process.take().context("it runs")?;
        process.wait()
    }

    fn running(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().with_context(|| format!("{} does not run", self.name))
    }

    /// Whether it was started and not killed.
    pub fn runs(&self) -> bool {
        self.process.is_some()
    }

    /// Whether it runs and has not ended by itself.
    pub fn lives(&self) -> bool {
        self.process.as_ref().is_some_and(Process::lives)
    }

    /// `host:port` of this machine for a port of the container.
    pub fn address(&self, port: u16) -> String {
        format!("127.0.0.1:{}", self.ports.get(&port).copied().unwrap_or(1))
    }

    /// The file or folder of this machine for a path in the container.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// What it wrote to standard error, of all its lives.
    pub fn told(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    fn log(&self) -> PathBuf {
        self.root.join("standard-error")
    }

    /// Asks what the file's health check asks.
    pub async fn healthy(&self) -> bool {
        let words = self.health.clone();
        let asking = tokio::task::spawn_blocking(move || asked(&words));
        asking.await.is_ok_and(|(well, _)| well)
    }

    /// Waits until it is well; fails with what it told if it ends before, or takes too long.
    pub async fn well(&self) {
        assert!(self.came_up().await, "{} has ended:\n{}", self.name, self.told());
    }

    /// Waits until it is well, or has ended: whether it is well.
    pub async fn came_up(&self) -> bool {
        let looking = async {
            while !self.healthy().await {
                if !self.lives() {
                    return false;
                }
                // Each look starts a process: what comes up needs the time more.
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            true
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| {
            let (name, why) = (&self.name, asked(&self.health).1);
            panic!("{name} is not well after {PATIENCE:?}, but {why}:\n{}", self.told())
        })
    }
}

/// Asks what the health check asks; `wget` is not needed for it, and `sen` is the binary of the
/// story. Whether all is well, and what was said.
fn asked(words: &[String]) -> (bool, String) {
    match words {
        [kind, program, .., url] if kind == "CMD" && program == "wget" => {
            match ureq::get(url).call() {
                Ok(_) => (true, String::new()),
                Err(error) => (false, error.to_string()),
            }
        }
        [kind, program, arguments @ ..] if kind == "CMD" => {
            let program = if program == "sen" { binary() } else { program.into() };
            match Command::new(program).args(arguments).stdin(Stdio::null()).output() {
                Ok(output) => {
                    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
                }
                Err(error) => (false, error.to_string()),
            }
        }
        _ => (false, format!("{words:?} is no health check")),
    }
}
