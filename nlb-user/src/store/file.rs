//! The store as two files of a directory: `desired.json` and `secret`.
//!
//! A file is written next to its place, synced, and renamed over it; then the directory is synced. At every moment the
//! place holds the whole old value or the whole new one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nlb_common::hash::Secret;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    Override, StoreError,
    legacy::{Store, Stored, Versioned},
};
use crate::serving::{Config, Limits, TargetId};

/// The format of `desired.json`. Raise it when an older version could misread the file.
const FORMAT: u64 = 1;

/// A directory that holds the desired state; one process at a time has it open.
#[derive(Debug)]
pub struct FileStore {
    dir: PathBuf,
    /// Locked while the store is open; the kernel unlocks it when the process ends, however it ends.
    _lock: File,
}

impl FileStore {
    /// Opens the store in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// If the directory can't be made or another process has the store open.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed("make the directory", dir))?;
        let path = dir.join("lock");
        let mut options = OpenOptions::new();
        let lock = options.create(true).write(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(failed("open", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir: dir.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed("lock", &path)(source)),
        }
    }

    /// The last acknowledged value of the store in `dir`, for readers, whether or not another process has it open.
    ///
    /// # Errors
    /// If it can't be read or is damaged.
    pub fn peek(dir: &Path) -> Result<Option<Versioned<Stored>>, StoreError> {
        let path = dir.join("desired.json");
        read(&path)?.map(|bytes| decode(&path, &bytes)).transpose()
    }

    /// The key of the selection hash; if there is none yet, it is `secret` from now on.
    ///
    /// # Errors
    /// As [`Store::secret`].
    pub fn secret_or(&mut self, secret: Secret) -> Result<Secret, StoreError> {
        if !self.dir.join("secret").exists() {
            self.write("secret", &[secret.k0.to_le_bytes(), secret.k1.to_le_bytes()].concat())?;
        }
        self.secret()
    }

    /// Writes `bytes` to the file `name`, for good.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let (path, new) = (self.dir.join(name), self.dir.join(format!("{name}.new")));
        let mut options = OpenOptions::new();
        let mut file =
            options.create(true).write(true).truncate(true).mode(0o600).open(&new).map_err(failed("open", &new))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed("write", &new))?;
        fs::rename(&new, &path).map_err(failed("replace", &path))?;
        // The rename is a change of the directory, and lasts once that is synced.
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed("sync", &self.dir))
    }
}

impl Store for FileStore {
    fn get(&self) -> Result<Option<Versioned<Stored>>, StoreError> {
        Self::peek(&self.dir)
    }

    fn compare_and_set(&mut self, revision: u64, new: &Stored) -> Result<u64, StoreError> {
        let found = self.get()?.map_or(0, |stored| stored.revision);
        if found != revision {
            return Err(StoreError::Conflict { expected: revision, found });
        }
        self.write("desired.json", &encode(revision + 1, new))?;
        Ok(revision + 1)
    }

    fn secret(&mut self) -> Result<Secret, StoreError> {
        let path = self.dir.join("secret");
        let bytes = match read(&path)? {
            Some(bytes) => bytes,
            None => {
                let random = Path::new("/dev/urandom");
                let mut bytes = [0; 16];
                File::open(random).and_then(|mut file| file.read_exact(&mut bytes)).map_err(failed("read", random))?;
                self.write("secret", &bytes)?;
                bytes.to_vec()
            }
        };
        let (halves, []) = bytes.as_chunks::<8>() else { return Err(StoreError::Secret { path, len: bytes.len() }) };
        match *halves {
            [k0, k1] => Ok(Secret { k0: u64::from_le_bytes(k0), k1: u64::from_le_bytes(k1) }),
            _ => Err(StoreError::Secret { path, len: bytes.len() }),
        }
    }
}

/// The error for a failed system call on `path`.
fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { doing, path, source }
}

/// A file's bytes, if it is there.
fn read(path: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// What `desired.json` holds.
#[derive(Serialize)]
struct Written<'a> {
    format: u64,
    revision: u64,
    config: &'a Config,
    overrides: Vec<OverrideEntry>,
}

/// What is read back. The configuration is left as text, so that its own reader says what is wrong with it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read<'a> {
    #[serde(rename = "format")]
    _format: u64,
    revision: u64,
    #[serde(borrow)]
    config: &'a RawValue,
    overrides: Vec<OverrideEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideEntry {
    target: String,
    state: String,
}

/// The format alone: a file of a later version may have other fields.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

fn encode(revision: u64, stored: &Stored) -> Vec<u8> {
    let entry =
        |(id, state): (&TargetId, &Override)| OverrideEntry { target: id.to_string(), state: state.to_string() };
    let overrides = stored.overrides.iter().map(entry).collect();
    let written = Written { format: FORMAT, revision, config: &stored.config, overrides };
    let mut bytes =
        serde_json::to_vec_pretty(&written).expect("strings, numbers, lists and maps with string keys are JSON");
    bytes.push(b'\n');
    bytes
}

fn decode(path: &Path, bytes: &[u8]) -> Result<Versioned<Stored>, StoreError> {
    let damaged = |why: String| StoreError::Damaged { path: path.to_owned(), why };
    let text = str::from_utf8(bytes).map_err(|error| damaged(error.to_string()))?;
    let Format { format: found } = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    if found != FORMAT {
        return Err(StoreError::Format { path: path.to_owned(), found, known: FORMAT });
    }
    let read: Read<'_> = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    let config = Config::from_json(read.config.get(), "config", &Limits::accepted())
        .map_err(|why| StoreError::Invalid { path: path.to_owned(), why })?;
    let entry = |entry: OverrideEntry| -> Result<(TargetId, Override), StoreError> {
        let id = entry.target.parse().map_err(|error| damaged(format!("in overrides: {error}")))?;
        Ok((id, entry.state.parse().map_err(|error| damaged(format!("in overrides: {error}")))?))
    };
    let overrides = read.overrides.into_iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Versioned { revision: read.revision, value: Stored { config, overrides } })
}
