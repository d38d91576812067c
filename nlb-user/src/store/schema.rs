//! What is in the database, and how it is read.
//!
//! `records` has the values by key; `meta` has one row, with the revision and the secret. Every row carries a sum of
//! what is in it: SQLite notices a torn page or a broken tree, and not a value that the disk gave back changed.

use std::{collections::BTreeMap, path::Path};

use nlb_common::hash::Secret;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, types::ValueRef};
use sha2::{Digest as _, Sha256};

use super::{Records, StoreError, error::failed};

/// Tells our databases from those of other programs: "nlbs".
const APPLICATION: i32 = 0x6e6c_6273;

/// How the schema came about: the format of a database is how many of these it has seen. Never change one, add one.
pub const MIGRATIONS: &[&str] = &["
    CREATE TABLE meta (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        revision INTEGER NOT NULL CHECK (revision >= 0),
        secret BLOB CHECK (length(secret) = 16),
        sum INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE records (
        key TEXT PRIMARY KEY NOT NULL,
        value TEXT NOT NULL,
        sum INTEGER NOT NULL
    ) STRICT;
"];

/// The row of `meta`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Meta {
    /// The last revision.
    pub revision: u64,
    /// The key of the selection hash, if there is one yet.
    pub secret: Option<Secret>,
}

/// The format of a database.
///
/// # Errors
/// If it is none of ours, or has a later format than the last of `migrations`.
pub fn format(db: &Connection, path: &Path, migrations: &[&str]) -> Result<usize, StoreError> {
    let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(failed("read", path));
    let (application, format) = (pragma("application_id")?, pragma("user_version")?);
    if application != APPLICATION {
        let why = "it is a database, but not of nlb".to_owned();
        return Err(StoreError::Damaged { path: path.to_owned(), why });
    }
    let known = migrations.len();
    match usize::try_from(format) {
        Ok(format @ 1..) if format <= known => Ok(format),
        Ok(found @ 1..) => Err(StoreError::Format { path: path.to_owned(), found: found as u64, known: known as u64 }),
        _ => Err(StoreError::Damaged { path: path.to_owned(), why: format!("it says that its format is {format}") }),
    }
}

/// Brings a database of format `from` up to date, in one transaction. Format 0 is an empty file.
///
/// # Errors
/// SQLite's.
pub fn migrate(db: &mut Connection, from: usize, migrations: &[&str]) -> rusqlite::Result<()> {
    if from == migrations.len() {
        return Ok(());
    }
    let change = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in &migrations[from..] {
        change.execute_batch(migration)?;
    }
    if from == 0 {
        change.pragma_update(None, "application_id", APPLICATION)?;
        set_meta(&change, Meta::default())?;
    }
    change.pragma_update(None, "user_version", migrations.len() as i64)?;
    change.commit()
}

/// Looks whether the file is whole: what is wrong with it, in SQLite's words; nothing if it is.
///
/// # Errors
/// If it can't be looked at.
pub fn integrity(db: &Connection, path: &Path) -> Result<Vec<String>, StoreError> {
    let mut problems = Vec::new();
    db.pragma(None, "integrity_check", 10, |row| {
        problems.push(row.get::<_, String>(0)?.lines().collect::<Vec<_>>().join(" "));
        Ok(())
    })
    .map_err(failed("read", path))?;
    problems.retain(|problem| problem != "ok");
    Ok(problems)
}

/// Reads the row of `meta`.
///
/// # Errors
/// If it is not what was written.
pub fn meta(db: &Connection, path: &Path) -> Result<Meta, StoreError> {
    let mut select = db.prepare_cached("SELECT revision, secret, sum FROM meta").map_err(failed("read", path))?;
    let row = select
        .query_row((), |row| {
            let secret: Option<[u8; 16]> = row.get(1)?;
            Ok((row.get::<_, i64>(0)?, secret, row.get::<_, i64>(2)?))
        })
        .optional()
        .map_err(failed("read", path))?;
    let meta = row.and_then(|(revision, secret, sum)| {
        let meta = Meta { revision: u64::try_from(revision).ok()?, secret: secret.map(secret_of) };
        (sum_of_meta(meta) == sum).then_some(meta)
    });
    let why = || "its revision or its secret is not what was written".to_owned();
    meta.ok_or_else(|| StoreError::Damaged { path: path.to_owned(), why: why() })
}

/// Writes the row of `meta`.
///
/// # Errors
/// SQLite's.
pub fn set_meta(db: &Connection, meta: Meta) -> rusqlite::Result<()> {
    let mut set = db.prepare_cached("INSERT OR REPLACE INTO meta (only, revision, secret, sum) VALUES (1, ?, ?, ?)")?;
    set.execute((meta.revision.cast_signed(), meta.secret.map(bytes_of), sum_of_meta(meta)))?;
    Ok(())
}

/// Reads everything, as of one moment.
///
/// # Errors
/// If something is not what was written.
pub fn read(db: &Connection, path: &Path) -> Result<(Meta, BTreeMap<String, String>), StoreError> {
    // A transaction, so that revision and records are of one moment.
    let look = db.unchecked_transaction().map_err(failed("read", path))?;
    let meta = meta(&look, path)?;
    let mut records = BTreeMap::new();
    let mut select = look.prepare_cached("SELECT key, value, sum FROM records").map_err(failed("read", path))?;
    let mut rows = select.query(()).map_err(failed("read", path))?;
    while let Some(row) = rows.next().map_err(failed("read", path))? {
        let sum: i64 = row.get(2).map_err(failed("read", path))?;
        let (key, value) = (text(row.get_ref(0)), text(row.get_ref(1)));
        let found = key.as_deref().unwrap_or("?").to_owned();
        match (key, value) {
            (Some(key), Some(value)) if sum_of(&[key.as_bytes(), value.as_bytes()]) == sum => {
                records.insert(key, value);
            }
            _ => {
                let why = format!("the record {found} is not what was written");
                return Err(StoreError::Damaged { path: path.to_owned(), why });
            }
        }
    }
    drop(rows);
    drop(select);
    look.finish().map_err(failed("read", path))?;
    Ok((meta, records))
}

/// Writes a record, or removes it if it has no value.
///
/// # Errors
/// SQLite's.
pub fn set(db: &Connection, key: &str, value: Option<&str>) -> rusqlite::Result<()> {
    match value {
        Some(value) => {
            let mut set = db.prepare_cached(
                "INSERT INTO records (key, value, sum) VALUES (?1, ?2, ?3)
                 ON CONFLICT (key) DO UPDATE SET value = ?2, sum = ?3",
            )?;
            set.execute((key, value, sum_of(&[key.as_bytes(), value.as_bytes()])))?;
        }
        None => {
            db.prepare_cached("DELETE FROM records WHERE key = ?")?.execute([key])?;
        }
    }
    Ok(())
}

/// Everything as the trait gives it.
pub fn records((meta, records): (Meta, BTreeMap<String, String>)) -> Records {
    Records { revision: meta.revision, records }
}

fn text(value: rusqlite::Result<ValueRef<'_>>) -> Option<String> {
    value.ok()?.as_str().ok().map(str::to_owned)
}

fn secret_of(bytes: [u8; 16]) -> Secret {
    let number = u128::from_le_bytes(bytes);
    Secret { k0: number as u64, k1: (number >> 64) as u64 }
}

fn bytes_of(secret: Secret) -> [u8; 16] {
    (u128::from(secret.k0) | u128::from(secret.k1) << 64).to_le_bytes()
}

fn sum_of_meta(meta: Meta) -> i64 {
    match meta.secret {
        Some(secret) => sum_of(&[&meta.revision.to_le_bytes(), &bytes_of(secret)]),
        None => sum_of(&[&meta.revision.to_le_bytes()]),
    }
}

/// The first 8 bytes of a SHA-256 of the parts and their lengths.
fn sum_of(parts: &[&[u8]]) -> i64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    digest.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)).cast_signed()
}
