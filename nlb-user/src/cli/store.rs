//! `nlb store`: look after what is stored. Works on the files themselves, with a controller running or not; only
//! `import` needs the store for itself.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use nlb_common::hash::Secret;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::output::{Output, Show, grouped, print};
use crate::{
    model::State,
    node::Node,
    store::{Reader, SqliteStore, Store as _, StoreError},
};

/// The format of an export. Raise it when an older version could misread one.
const FORMAT: u32 = 1;
/// What a database begins with.
const DATABASE: &[u8] = b"SQLite format 3\0";

/// Arguments of `nlb store`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Where the desired state is stored [default: state_dir of node.toml]
    #[arg(long, global = true, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

/// What can be done with the store.
#[derive(Subcommand, Debug)]
enum Command {
    /// Print everything that is stored, as JSON
    Export {
        /// The node's secret, too: whoever has it can aim connections at one target
        #[arg(long)]
        with_secret: bool,
    },
    /// Replace everything that is stored by an export or a backup. The controller must not run
    Import {
        /// The export or backup; `-` is standard input
        file: PathBuf,
        /// Even if the store is not empty. One that is damaged is put aside
        #[arg(long)]
        force: bool,
    },
    /// Look whether the store is whole: exit code 1 if it is not
    Check,
    /// Copy the store to a file that is a store itself, at any time
    Backup {
        /// The file to make or replace
        file: PathBuf,
    },
}

/// Does it.
///
/// # Errors
/// If there is no store, if it is damaged or in use, or if a file can't be read or written.
pub fn execute(args: Args, node: &Node, output: &Output) -> Result<()> {
    let dir = args.state.unwrap_or_else(|| node.state_dir.clone());
    match args.command {
        Command::Export { with_secret } => Ok(print(&export(&open(&dir)?, with_secret)?)?),
        Command::Import { file, force } => output.show(&import(&dir, &file, force)?),
        Command::Check => check(&open(&dir)?, output),
        Command::Backup { file } => output.show(&backup(&open(&dir)?, &file)?),
    }
}

fn open(dir: &Path) -> Result<Reader> {
    let found = Reader::open(dir)?;
    found.with_context(|| format!("there is no store in {}: name the directory with --state", dir.display()))
}

/// Everything that is stored.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Export {
    /// How to read the rest.
    format: u32,
    /// Of the store that it was exported from.
    revision: u64,
    /// 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// As they were written, so that nothing changes on the way.
    records: BTreeMap<String, Box<RawValue>>,
}

/// The format alone: an export of a later version may have other fields.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

fn export(reader: &Reader, with_secret: bool) -> Result<String> {
    let found = reader.records()?;
    let mut records = BTreeMap::new();
    for (key, value) in found.records {
        let value = RawValue::from_string(value).with_context(|| format!("the record {key} is no JSON"))?;
        records.insert(key, value);
    }
    let secret = if with_secret { reader.secret()? } else { None };
    let secret = secret.map(|secret| format!("{:016x}{:016x}", secret.k0, secret.k1));
    let export = Export { format: FORMAT, revision: found.revision, secret, records };
    Ok(serde_json::to_string_pretty(&export)? + "\n")
}

/// What an import is made of.
struct Content {
    records: BTreeMap<String, String>,
    secret: Option<Secret>,
}

fn read(file: &Path) -> Result<Content> {
    let name = file.display();
    let bytes = match file.to_str() {
        Some("-") => {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        }
        _ => fs::read(file),
    };
    let bytes = bytes.with_context(|| format!("cannot read {name}"))?;
    let content = match bytes.starts_with(DATABASE) {
        true => {
            let backup = Reader::open_backup(file)?.with_context(|| format!("cannot read {name}"))?;
            Content { records: backup.records()?.records, secret: backup.secret()? }
        }
        false => parse(&bytes).with_context(|| format!("{name} is neither an export nor a backup of a store"))?,
    };
    // What the controller could not start from is not let in.
    State::from_records(&content.records).with_context(|| format!("{name} can't be used"))?;
    Ok(content)
}

fn parse(bytes: &[u8]) -> Result<Content> {
    let Format { format } = serde_json::from_slice(bytes)?;
    if format != FORMAT {
        bail!("it has format {format}, and this version knows {FORMAT}: use the version that wrote it");
    }
    let export: Export = serde_json::from_slice(bytes)?;
    let secret = match export.secret {
        Some(digits) => Some(secret(&digits).context("its secret is not 32 hexadecimal digits")?),
        None => None,
    };
    let records = export.records.into_iter().map(|(key, value)| (key, value.get().to_owned())).collect();
    Ok(Content { records, secret })
}

fn secret(digits: &str) -> Option<Secret> {
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let half = |range| digits.get(range).and_then(|half| u64::from_str_radix(half, 16).ok());
    Some(Secret { k0: half(0..16)?, k1: half(16..32)? })
}

fn import(dir: &Path, file: &Path, force: bool) -> Result<Imported> {
    let Content { records, secret } = read(file)?;
    let opened = match force {
        true => SqliteStore::open_or_begin_anew(dir),
        false => SqliteStore::open(dir).map(|store| (store, None)),
    };
    let (mut store, put_aside) = opened.map_err(|error| match error {
        StoreError::Locked { .. } => {
            anyhow::anyhow!("{} is in use by a controller: stop it, import, and start it again", dir.display())
        }
        error => error.into(),
    })?;
    let before = store.get()?;
    if !before.records.is_empty() && before.records != records && !force {
        bail!(
            "{} holds {} records at revision {}: --force replaces them all; `nlb store backup FILE` keeps a copy",
            dir.display(),
            before.records.len(),
            before.revision
        );
    }
    let (revision, changed) = store.replace(&records, secret)?;
    Ok(Imported { revision, records: records.len(), changed, put_aside })
}

#[derive(Serialize)]
struct Imported {
    revision: u64,
    records: usize,
    changed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    put_aside: Option<PathBuf>,
}

impl Show for Imported {
    fn text(&self) -> String {
        let aside = self.put_aside.as_ref().map(|path| format!("the damaged store is at {}\n", path.display()));
        let (records, changed) = (grouped(self.records as u64), grouped(self.changed as u64));
        aside.unwrap_or_default()
            + &format!("imported: {records} records, {changed} changed, revision {}\n", self.revision)
    }
}

fn backup(reader: &Reader, file: &Path) -> Result<BackedUp> {
    let same = |path: &Path| fs::canonicalize(path).ok();
    if same(file).is_some_and(|file| Some(file) == same(reader.path())) {
        bail!("{} is the store itself: name another file", file.display());
    }
    reader.backup(file)?;
    let bytes = fs::metadata(file).with_context(|| format!("cannot look at {}", file.display()))?.len();
    Ok(BackedUp { file: file.to_owned(), bytes })
}

#[derive(Serialize)]
struct BackedUp {
    file: PathBuf,
    bytes: u64,
}

impl Show for BackedUp {
    fn text(&self) -> String {
        format!(
            "{}: {} bytes. To go back to it, stop the controller and give it to `nlb store import --force`\n",
            self.file.display(),
            grouped(self.bytes)
        )
    }
}

/// What there is in a store, and what is wrong with it.
#[derive(Serialize)]
struct Report {
    file: PathBuf,
    format: usize,
    revision: Option<u64>,
    records: usize,
    load_balancers: usize,
    listeners: usize,
    target_groups: usize,
    targets: usize,
    overrides: usize,
    inventory: usize,
    problems: Vec<String>,
}

fn check(reader: &Reader, output: &Output) -> Result<()> {
    let report = report(reader)?;
    output.show(&report)?;
    match report.problems.len() {
        0 => Ok(()),
        problems => bail!(
            "{} has {problems} {}: go back to a backup with `nlb store import --force FILE`",
            report.file.display(),
            if problems == 1 { "problem" } else { "problems" }
        ),
    }
}

fn report(reader: &Reader) -> Result<Report> {
    let mut problems = reader.integrity()?;
    let (mut revision, mut records, mut state) = (None, BTreeMap::new(), State::default());
    match reader.records() {
        Ok(found) => (revision, records) = (Some(found.revision), found.records),
        Err(StoreError::Damaged { why, .. }) => problems.push(why),
        Err(error) => return Err(error.into()),
    }
    match State::from_records(&records) {
        Ok(found) => state = found,
        Err(error) => problems.push(error.to_string()),
    }
    let added = &state.inventory;
    Ok(Report {
        file: reader.path().to_owned(),
        format: reader.format(),
        revision,
        records: records.len(),
        load_balancers: state.load_balancers.len(),
        listeners: state.listeners.len(),
        target_groups: state.target_groups.len(),
        targets: state.target_groups.values().map(|group| group.targets.len()).sum(),
        overrides: state.overrides.len(),
        inventory: added.subnets.len()
            + added.instances.len()
            + added.elastic_ips.len()
            + added.security_groups.len()
            + added.certificates.len()
            + added.application_load_balancers.len(),
        problems,
    })
}

impl Show for Report {
    fn text(&self) -> String {
        let mut text = format!("{}: format {}", self.file.display(), self.format);
        if let Some(revision) = self.revision {
            text += &format!(", revision {revision}, {} records\n", grouped(self.records as u64));
        } else {
            text += "\n";
        }
        for (count, what) in [
            (self.load_balancers, "load balancers"),
            (self.listeners, "listeners"),
            (self.target_groups, "target groups"),
            (self.targets, "targets"),
            (self.overrides, "targets with a state set by hand"),
            (self.inventory, "things in the inventory, besides those of node.toml"),
        ] {
            text += &format!("{:>8} {what}\n", grouped(count as u64));
        }
        for problem in &self.problems {
            text += &format!("problem: {problem}\n");
        }
        text + if self.problems.is_empty() { "all is well\n" } else { "" }
    }
}
