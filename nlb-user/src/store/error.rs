//! Why the store did not do it, and what to do about that.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
};

use nix::sys::statvfs::{FsFlags, statvfs};
use rusqlite::ErrorCode;

/// Why the store did not do it. Whatever it is, nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was tried: "write", "read" ...
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The engine refused.
    #[error("cannot {doing} {} ({source}): look for errors of the disk in the kernel's log, and try `nlb store check`", path.display())]
    Engine {
        /// What was tried: "write", "read" ...
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It belongs to somebody else.
    #[error("cannot {doing} {}: permission denied; be root or the user that it belongs to", path.display())]
    Denied {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
    },
    /// It can't be written.
    #[error("cannot {doing} {}: it may only be read, so nothing was stored; make its file system and \
             its directory writable, or name another directory with --state", path.display())]
    ReadOnly {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
    },
    /// No room.
    #[error("cannot {doing} {}: its file system is full, so nothing was stored; make room and try again", path.display())]
    Full {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
    },
    /// A program that is not ours is writing to it.
    #[error("cannot {doing} {}: another program, such as sqlite3, has it locked; end that and try again", path.display())]
    Busy {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
    },
    /// Who can write to the directory can replace the files in it.
    #[error("everybody may write to {}: take that away with `chmod o-w`, or name another directory with --state", path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
    },
    /// Another process has the store open.
    #[error("{} is in use by another controller: stop it first, or give this one a `state_dir` of its own", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// Somebody else stored something in between.
    #[error("the desired state is at revision {found}, not {expected}: it was changed meanwhile, try again")]
    Conflict {
        /// What the caller had seen.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// The file is not the one that was opened.
    #[error("{} was removed or replaced while in use, so nothing was stored; put it back, or restart the controller \
             to go on with what is there now", path.display())]
    Replaced {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what the store had written.
    #[error("{} is damaged ({why}): restore it from a backup with `nlb store import --force FILE`, or move the files \
             nlb.db* out of the way and apply your lb.json again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file of a later version.
    #[error("{} has format {found}, and this version knows {known}: use the version that wrote it", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The last format known.
        known: u64,
    },
    /// A file of an earlier version, which only the controller brings up to date.
    #[error("{} has format {found}, and this version reads {known}: start the controller of this version once, which \
             brings it up to date", path.display())]
    Earlier {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The format that is read.
        known: u64,
    },
}

/// The error for a failed system call on `path`.
pub(super) fn io_failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::PermissionDenied => StoreError::Denied { doing, path },
        io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly { doing, path },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { doing, path },
        _ => StoreError::Io { doing, path, source },
    }
}

/// The error for something that SQLite refused to do with `path`.
pub(super) fn failed(doing: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    move |error| match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full { doing, path },
        Some(ErrorCode::ReadOnly) => StoreError::ReadOnly { doing, path },
        Some(ErrorCode::PermissionDenied) => StoreError::Denied { doing, path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy { doing, path },
        // The last one: a statement of ours that does not fit the tables.
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) => {
            StoreError::Damaged { path, why: error.to_string() }
        }
        // SQLite does not tell all causes apart when it makes files beside the database.
        Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => match statvfs(&path) {
            Ok(fs) if fs.flags().contains(FsFlags::ST_RDONLY) => StoreError::ReadOnly { doing, path },
            Ok(fs) if fs.blocks_available() == 0 => StoreError::Full { doing, path },
            _ => StoreError::Engine { doing, path, source: error.into() },
        },
        Some(_) => StoreError::Engine { doing, path, source: error.into() },
        // Not SQLite's: what it read is of another type, or is missing.
        None => StoreError::Damaged { path, why: error.to_string() },
    }
}
