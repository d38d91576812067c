//! Reading the store while a controller may have it open.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nlb_common::hash::Secret;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{
    Records, StoreError,
    error::{failed, io_failed},
    schema::{self, MIGRATIONS},
    sqlite::{FILE, PATIENCE, beside, sync_directory_of},
};

/// What stands for itself in the path of a URI, but `?`, `#` and `%`.
const PATH: &AsciiSet = &CONTROLS.add(b'?').add(b'#').add(b'%').add(b' ');

/// The store, open to be read.
#[derive(Debug)]
pub struct Reader {
    db: Connection,
    path: PathBuf,
}

impl Reader {
    /// Opens the store in `dir`, if there is one, whether or not another process has it open.
    ///
    /// # Errors
    /// If it can't be read, is damaged or has another format.
    pub fn open(dir: &Path) -> Result<Option<Self>, StoreError> {
        Self::open_file(&dir.join(FILE), MIGRATIONS)
    }

    /// Opens a backup, as [`Self::backup`] makes it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_backup(path: &Path) -> Result<Option<Self>, StoreError> {
        Self::open_file(path, MIGRATIONS)
    }

    /// As [`Self::open`], of a file anywhere, with the schema of some version.
    pub(super) fn open_file(path: &Path, migrations: &[&str]) -> Result<Option<Self>, StoreError> {
        match File::open(path).and_then(|file| file.metadata()) {
            Ok(found) if found.is_file() && found.len() > 0 => {}
            Ok(_) => {
                return Err(StoreError::Damaged { path: path.to_owned(), why: "it is empty, or no file".to_owned() });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_failed("open", path)(error)),
        }
        let db = connect(path)?;
        let found = schema::format(&db, path, migrations)?;
        if found < migrations.len() {
            let (found, known) = (found as u64, migrations.len() as u64);
            return Err(StoreError::Earlier { path: path.to_owned(), found, known });
        }
        Ok(Some(Self { db, path: path.to_owned() }))
    }

    /// The last acknowledged records.
    ///
    /// # Errors
    /// If they can't be read or are damaged.
    pub fn records(&self) -> Result<Records, StoreError> {
        schema::read(&self.db, &self.path).map(schema::records)
    }

    /// The key of the selection hash, if there is one yet.
    ///
    /// # Errors
    /// If it can't be read or is damaged.
    pub fn secret(&self) -> Result<Option<Secret>, StoreError> {
        Ok(schema::meta(&self.db, &self.path)?.secret)
    }

    /// Looks whether the file is whole: what is wrong with it, a line each; nothing if it is.
    ///
    /// # Errors
    /// If it can't be read.
    pub fn integrity(&self) -> Result<Vec<String>, StoreError> {
        schema::integrity(&self.db, &self.path)
    }

    /// The format of the file.
    pub const fn format(&self) -> usize {
        // Others were not opened.
        MIGRATIONS.len()
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Copies the store as it is at one moment to a file, which it makes or replaces whole. The controller may go on
    /// writing meanwhile. The copy is a store itself: called `nlb.db`, in a directory of its own.
    ///
    /// # Errors
    /// If the copy can't be written; then what was there before stays.
    pub fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let new = beside(to, &format!(".{}.new", std::process::id()));
        // Of an earlier process with our number, that did not come to its end.
        drop(fs::remove_file(&new));
        let made = self.copy(&new).and_then(|()| fs::rename(&new, to).map_err(io_failed("write", to)));
        if made.is_err() {
            // Best effort: the error is the one to tell.
            drop(fs::remove_file(&new));
            drop(fs::remove_file(beside(&new, "-journal")));
        }
        made?;
        sync_directory_of(to)
    }

    fn copy(&self, new: &Path) -> Result<(), StoreError> {
        let failed = || failed("write", new);
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(new);
        let file = file.map_err(io_failed("write", new))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut copy = Connection::open_with_flags(new, flags).map_err(failed())?;
        let backup = Backup::new(&self.db, &mut copy).map_err(failed())?;
        // In one step, so that it is of one moment and no write makes it begin again.
        let deadline = Instant::now() + PATIENCE;
        loop {
            match backup.step(-1).map_err(failed())? {
                StepResult::Done => break,
                _ if Instant::now() > deadline => {
                    return Err(StoreError::Busy { doing: "read", path: self.path.clone() });
                }
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
        drop(backup);
        // One file, without a log beside it.
        copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(())).map_err(failed())?;
        schema::read(&copy, new)?;
        copy.close().map_err(|(_, error)| failed()(error))?;
        file.sync_all().map_err(io_failed("write", new))
    }
}

/// Opens a database to read it: its log is left as it is.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let attempt = |path: &Path, flags| -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(PATIENCE)?;
        db.pragma_update(None, "cell_size_check", true)?;
        // Opening reads nothing yet.
        db.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
        Ok(db)
    };
    attempt(path, flags).or_else(|error| {
        // To be read, too, a log needs files beside it. Where none can be made and there is no log, nobody is writing.
        let code = error.sqlite_error_code();
        let no_room = matches!(
            code,
            Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::DiskFull)
        );
        if !no_room || fs::metadata(beside(path, "-wal")).is_ok_and(|log| log.len() > 0) {
            return Err(failed("read", path)(error));
        }
        let uri = format!("file:{}?immutable=1", percent_encode(path.as_os_str().as_bytes(), PATH));
        attempt(Path::new(&uri), flags | OpenFlags::SQLITE_OPEN_URI).map_err(failed("read", path))
    })
}
