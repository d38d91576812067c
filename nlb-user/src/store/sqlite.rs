//! The store as a SQLite database: `nlb.db` in the state directory.
//!
//! Write-ahead log, synced at every commit: what was acknowledged survives kill -9 and power loss. One process at a
//! time writes, the one that holds `lock`; others read meanwhile ([`Reader`]). The database is made under another name
//! and renamed, so that an `nlb.db` that is empty or has no tables was not left by us.

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use nlb_common::hash::Secret;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::watch;

use super::{
    Change, Reader, Records, Store, StoreError,
    error::{failed, io_failed},
    reader,
    schema::{self, MIGRATIONS, Meta},
};

/// The database's name in the state directory.
pub(super) const FILE: &str = "nlb.db";
/// What the log is cut down to once its content is in the database. It grows beyond only by the size of one change, or
/// while somebody reads.
const LOG_BYTES: u32 = 4 << 20;
/// How long to wait for somebody who reads an old log at the moment.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A directory that holds the records; one process at a time has it open.
#[derive(Debug)]
pub struct SqliteStore {
    pub(super) db: Connection,
    path: PathBuf,
    /// Device and inode of the database.
    identity: (u64, u64),
    revision: watch::Sender<u64>,
    /// Locked while the store is open; the kernel unlocks it when the process ends, however it ends. Last, so that
    /// the database is closed before.
    _lock: File,
}

impl SqliteStore {
    /// Opens the store in `dir`. Both are made if they are not there.
    ///
    /// # Errors
    /// If it can't be made, is damaged, has a later format, or another process has it open.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_as(dir, MIGRATIONS)
    }

    /// The last acknowledged records of the store in `dir`, for readers, whether or not another process has it open.
    /// `None` if there is no store.
    ///
    /// # Errors
    /// If it can't be read or is damaged.
    pub fn peek(dir: &Path) -> Result<Option<Records>, StoreError> {
        Reader::open(dir)?.map(|reader| reader.records()).transpose()
    }

    /// As [`Self::open`], but a damaged store is put aside, with its log, and an empty one made. Where it was put.
    ///
    /// # Errors
    /// As [`Self::open`], and if the files can't be moved.
    pub fn open_or_begin_anew(dir: &Path) -> Result<(Self, Option<PathBuf>), StoreError> {
        match Self::open(dir) {
            Err(StoreError::Damaged { .. }) => {}
            opened => return Ok((opened?, None)),
        }
        let lock = lock(dir)?;
        let aside = put_aside(&dir.join(FILE))?;
        Ok((Self::open_locked(dir, lock, MIGRATIONS)?, Some(aside)))
    }

    /// As [`Self::open`], with the schema of another version.
    pub(super) fn open_as(dir: &Path, migrations: &[&str]) -> Result<Self, StoreError> {
        Self::open_locked(dir, lock(dir)?, migrations)
    }

    fn open_locked(dir: &Path, lock: File, migrations: &[&str]) -> Result<Self, StoreError> {
        let path = dir.join(FILE);
        if !path.try_exists().map_err(io_failed("find", &path))? {
            create(&path, migrations)?;
        }
        let identity = look_at(&path)?;
        let format = inspect(&path, migrations)?;
        let mut db = connect(&path)?;
        schema::migrate(&mut db, format, migrations).map_err(failed("bring up to date", &path))?;
        let revision = watch::Sender::new(schema::meta(&db, &path)?.revision);
        Ok(Self { db, path, identity, revision, _lock: lock })
    }

    /// Makes these records all there are, in one revision, and `secret` the secret if one is given. The new revision,
    /// and how many records changed; nothing is written if there is nothing to change.
    ///
    /// # Errors
    /// As [`Store::compare_and_set`].
    pub fn replace(
        &mut self,
        records: &BTreeMap<String, String>,
        secret: Option<Secret>,
    ) -> Result<(u64, usize), StoreError> {
        let (meta, old) = schema::read(&self.db, &self.path)?;
        let gone = old.keys().filter(|key| !records.contains_key(*key));
        let gone = gone.map(|key| Change { key: key.clone(), value: None });
        let new = records.iter().filter(|(key, value)| old.get(*key) != Some(value));
        let new = new.map(|(key, value)| Change { key: key.clone(), value: Some(value.clone()) });
        let changes: Vec<Change> = gone.chain(new).collect();
        if changes.is_empty() && (secret.is_none() || secret == meta.secret) {
            return Ok((meta.revision, 0));
        }
        Ok((self.write(meta.revision, &changes, secret)?, changes.len()))
    }

    /// Writes changes, and the secret if one is given, as the revision after `revision`.
    fn write(&mut self, revision: u64, changes: &[Change], secret: Option<Secret>) -> Result<u64, StoreError> {
        let written = self.try_write(revision, changes, secret);
        match &written {
            Ok(revision) => {
                self.revision.send_replace(*revision);
            }
            Err(StoreError::Conflict { .. } | StoreError::Replaced { .. }) => {}
            // A commit whose sync failed may stand in the log, whole but refused: cut the log off before it. That
            // makes room, too, if the disk is full. It may well fail as the commit did.
            Err(_) => drop(self.db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))),
        }
        written
    }

    fn try_write(&mut self, revision: u64, changes: &[Change], secret: Option<Secret>) -> Result<u64, StoreError> {
        // Else what is acknowledged would go to a file that nobody ever finds again.
        if fs::metadata(&self.path).ok().map(|it| (it.dev(), it.ino())) != Some(self.identity) {
            return Err(StoreError::Replaced { path: self.path.clone() });
        }
        let path = &self.path;
        let failed = || failed("write", path);
        let change = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed())?;
        let old = schema::meta(&change, path)?;
        if old.revision != revision {
            return Err(StoreError::Conflict { expected: revision, found: old.revision });
        }
        let new = Meta { revision: revision + 1, secret: secret.or(old.secret) };
        for Change { key, value } in changes {
            schema::set(&change, key, value.as_deref()).map_err(failed())?;
        }
        schema::set_meta(&change, new).map_err(failed())?;
        change.commit().map_err(failed())?;
        Ok(new.revision)
    }
}

impl Store for SqliteStore {
    fn get(&self) -> Result<Records, StoreError> {
        schema::read(&self.db, &self.path).map(schema::records)
    }

    fn compare_and_set(&mut self, revision: u64, changes: &[Change]) -> Result<u64, StoreError> {
        self.write(revision, changes, None)
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn secret(&mut self, proposed: Option<Secret>) -> Result<Secret, StoreError> {
        let failed = || failed("write", &self.path);
        let change = self.db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed())?;
        let meta = schema::meta(&change, &self.path)?;
        if let Some(secret) = meta.secret {
            return Ok(secret);
        }
        let secret = match proposed {
            Some(secret) => secret,
            None => random()?,
        };
        schema::set_meta(&change, Meta { secret: Some(secret), ..meta }).map_err(failed())?;
        change.commit().map_err(failed())?;
        Ok(secret)
    }
}

/// A new secret.
pub(super) fn random() -> Result<Secret, StoreError> {
    let failed =
        |error: getrandom::Error| io_failed("read", Path::new("/dev/urandom"))(io::Error::other(error.to_string()));
    let number = || getrandom::u64().map_err(failed);
    Ok(Secret { k0: number()?, k1: number()? })
}

/// Makes the directory, and keeps others from writing in it.
fn lock(dir: &Path) -> Result<File, StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_failed("make the directory", dir))?;
    let mode = fs::metadata(dir).map_err(io_failed("look at", dir))?.permissions().mode();
    if mode & 0o002 != 0 {
        return Err(StoreError::Exposed { path: dir.to_owned() });
    }
    let path = dir.join("lock");
    let mut options = OpenOptions::new();
    let lock = options.create(true).write(true).truncate(false).mode(0o600).open(&path);
    let lock = lock.map_err(io_failed("open", &path))?;
    let mut attempts = 10;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            // A child of whoever had it open may hold it for the moment from fork to exec.
            Err(TryLockError::WouldBlock) if attempts > 0 => thread::sleep(Duration::from_millis(20)),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => return Err(io_failed("lock", &path)(source)),
        }
        attempts -= 1;
    }
}

/// Makes the database, whole or not at all.
fn create(path: &Path, migrations: &[&str]) -> Result<(), StoreError> {
    let log = beside(path, "-wal");
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        let why = format!("it is gone, but its log {} is there", log.display());
        return Err(StoreError::Damaged { path: path.to_owned(), why });
    }
    let new = beside(path, ".new");
    for left in [new.clone(), beside(&new, "-journal")] {
        match fs::remove_file(&left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_failed("remove", &left)(error)),
            _ => {}
        }
    }
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new);
    let file = file.map_err(io_failed("make", path))?;
    let mut db = Connection::open_with_flags(&new, flags()).map_err(failed("make", path))?;
    schema::migrate(&mut db, 0, migrations).map_err(failed("make", path))?;
    db.close().map_err(|(_, error)| failed("make", path)(error))?;
    file.sync_all().map_err(io_failed("make", path))?;
    fs::rename(&new, path).map_err(io_failed("make", path))?;
    sync_directory_of(path)?;
    // The directories above may be as new as the file. Those that may not be opened are not ours.
    path.ancestors().skip(1).for_each(|dir| drop(sync_directory_of(dir)));
    Ok(())
}

/// Gives the database and what belongs to it names that are not in use. The database's.
fn put_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let taken = |aside: &Path| ["", "-wal", "-shm"].iter().any(|it| beside(aside, it).exists());
    let mut aside = beside(path, ".damaged");
    for number in 2..u32::MAX {
        if !taken(&aside) {
            break;
        }
        aside = beside(path, &format!(".damaged-{number}"));
    }
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(beside(path, suffix), beside(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_failed("rename", path)(error)),
            _ => {}
        }
    }
    sync_directory_of(path)?;
    Ok(aside)
}

/// Looks at the file before SQLite does: it would take an empty one for a new database. Its device and inode.
fn look_at(path: &Path) -> Result<(u64, u64), StoreError> {
    let found = OpenOptions::new().read(true).write(true).open(path).and_then(|file| file.metadata());
    let found = found.map_err(io_failed("open", path))?;
    let damaged = |why: &str| Err(StoreError::Damaged { path: path.to_owned(), why: why.to_owned() });
    if !found.is_file() {
        return damaged("it is no file");
    }
    if found.len() == 0 {
        return damaged("it is empty");
    }
    // The secret is in it. Log and index get the same mode from SQLite.
    if found.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(io_failed("set the mode of", path))?;
    }
    Ok((found.dev(), found.ino()))
}

/// Refuses what is damaged or too new, and leaves it as it is: a connection that may write would put the log into the
/// database when it is closed, and remove it. The format.
fn inspect(path: &Path, migrations: &[&str]) -> Result<usize, StoreError> {
    let db = reader::connect(path)?;
    let format = schema::format(&db, path, migrations)?;
    match schema::integrity(&db, path)?.into_iter().next() {
        Some(why) => Err(StoreError::Damaged { path: path.to_owned(), why }),
        None => Ok(format),
    }
}

/// Opens the database to write it: commits last, and the log stays short.
fn connect(path: &Path) -> Result<Connection, StoreError> {
    let failed = || failed("open", path);
    let db = Connection::open_with_flags(path, flags()).map_err(failed())?;
    db.busy_timeout(PATIENCE).map_err(failed())?;
    let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed())?;
    if mode != "wal" {
        let source = format!("its file system can't share memory between processes; journal_mode is {mode}").into();
        return Err(StoreError::Engine { doing: "open", path: path.to_owned(), source });
    }
    db.pragma_update(None, "synchronous", "FULL").map_err(failed())?;
    db.pragma_update(None, "cell_size_check", true).map_err(failed())?;
    db.pragma_update_and_check(None, "journal_size_limit", LOG_BYTES, |_| Ok(())).map_err(failed())?;
    Ok(db)
}

/// Never made by opening; used by one thread at a time.
fn flags() -> OpenFlags {
    OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE
}

/// The path with more at its end.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A rename is a change of the directory, and lasts once that is synced.
pub(super) fn sync_directory_of(path: &Path) -> Result<(), StoreError> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_failed("sync", dir))
}
