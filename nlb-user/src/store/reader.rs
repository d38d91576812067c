//! Reading the store while a controller may have it open.

use std::{
    fs::{self, File},
    io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use nlb_common::hash::Secret;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use rusqlite::{Connection, OpenFlags};

use super::{
    Records, StoreError,
    error::{failed, io_failed},
    schema::{self, MIGRATIONS},
    sqlite::{FILE, beside},
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
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let attempt = |path: &Path, flags| -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(path, flags)?;
        db.busy_timeout(Duration::from_secs(5))?;
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
