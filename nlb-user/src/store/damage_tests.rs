//! Damaged files: refused in words and left as they are, never taken for something else.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    sqlite::FILE,
    sqlite_tests::{expected, filled, numbered, open},
    *,
};

/// A closed store of a few revisions: its directory and the bytes of its database.
fn closed() -> (tempfile::TempDir, PathBuf, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path(), 20);
    store.secret(None).unwrap();
    drop(store);
    let path = dir.path().join(FILE);
    let bytes = fs::read(&path).unwrap();
    (dir, path, bytes)
}

/// Puts these bytes where the database was.
fn put(path: &Path, bytes: &[u8]) {
    for suffix in ["-wal", "-shm"] {
        drop(fs::remove_file(super::sqlite::beside(path, suffix)));
    }
    fs::write(path, bytes).unwrap();
}

/// Random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

fn assert_refused(dir: &Path, expected: &str) {
    for error in [SqliteStore::open(dir).map(drop).unwrap_err(), SqliteStore::peek(dir).map(drop).unwrap_err()] {
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains("nlb.db is damaged (") && error.contains(expected), "{error}");
        assert!(error.contains("nlb store import --force FILE"), "{error}");
    }
}

#[test]
fn what_is_no_database_of_ours_is_refused() {
    let (dir, path, good) = closed();
    let other = dir.path().join("other");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (n INTEGER)").unwrap();
    let other = fs::read(other).unwrap();
    let text = b"[load_balancers]\n".repeat(500);
    // SQLite has two words for it.
    for (bytes, expected) in [
        (&[][..], "it is empty"),
        (&[0; 4096], ""),
        (&text, ""),
        (&other, "it is a database, but not of nlb"),
        (&good[..100], ""),
        (&good[..good.len() / 2], ""),
        (&good[..good.len() - 4096], ""),
    ] {
        put(&path, bytes);
        assert_refused(dir.path(), expected);
        assert_eq!(fs::read(&path).unwrap(), bytes, "{expected}: left as it was");
    }
    // The same store again, once the file is back.
    put(&path, &good);
    assert_eq!(open(dir.path()).get().unwrap(), expected(20));
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = SqliteStore::open(dir.path()).unwrap_err().to_string();
    assert!(error.starts_with("cannot open "), "{error}");
}

/// A value that the disk gave back changed is noticed, though nothing of the file's structure is.
#[test]
fn a_changed_value_is_noticed() {
    let (dir, path, mut bytes) = closed();
    let at = bytes.windows(9).position(|it| it == b"{\"n\":20,\"").unwrap();
    bytes[at + 5] = b'3';
    put(&path, &bytes);
    // Opening reads no record.
    let error = open(dir.path()).get().unwrap_err().to_string();
    assert!(error.contains("is not what was written"), "{error}");
    assert!(SqliteStore::peek(dir.path()).unwrap_err().to_string().contains("is not what was written"));
}

/// Whatever happens to the file, records are those that were written or there is an error.
#[test]
fn garbage_in_the_database_never_becomes_records() {
    let (dir, path, good) = closed();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut refused, mut whole) = (0, 0);
    for round in 0..300 {
        let mut bytes = good.clone();
        match round % 4 {
            // A bit.
            0 => bytes[random.below(good.len())] ^= 1 << random.below(8),
            // A few bytes of the head of a page.
            1 => {
                let page = random.below(good.len() / 4096) * 4096;
                (0..4).for_each(|_| bytes[page + random.below(120)] = u8::try_from(random.below(256)).unwrap());
            }
            // A page, or what was in another one.
            2 => {
                let (to, from) = (random.below(good.len() / 4096) * 4096, random.below(good.len() / 4096) * 4096);
                let page: Vec<u8> = match random.below(2) {
                    0 => good[from..from + 4096].to_vec(),
                    _ => (0..4096).map(|_| u8::try_from(random.below(256)).unwrap()).collect(),
                };
                bytes[to..to + 4096].copy_from_slice(&page);
            }
            _ => bytes.truncate(random.below(good.len())),
        }
        put(&path, &bytes);
        match SqliteStore::open(dir.path()).and_then(|store| store.get()) {
            Ok(records) => {
                assert_eq!(records, expected(20), "round {round}");
                whole += 1;
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("is damaged (") || error.contains("has format "), "round {round}: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 150 && whole > 0, "{refused} refused, {whole} whole");
}

/// Garbage in the log costs the revisions after it, for there it ends, but never mixes revisions.
#[test]
fn garbage_in_the_log_never_mixes_revisions() {
    let dir = tempfile::tempdir().unwrap();
    let (path, log) = (dir.path().join(FILE), dir.path().join("nlb.db-wal"));
    let store = filled(dir.path(), 20);
    // As a killed controller leaves them.
    let (database, good) = (fs::read(&path).unwrap(), fs::read(&log).unwrap());
    drop(store);
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..100 {
        let mut bytes = good.clone();
        match round % 2 {
            0 => bytes[random.below(good.len())] ^= 1 << random.below(8),
            _ => bytes.truncate(random.below(good.len())),
        }
        put(&path, &database);
        fs::write(&log, &bytes).unwrap();
        let found = open(dir.path()).get().unwrap();
        assert_eq!(found, expected(found.revision), "round {round}");
        seen.insert(found.revision);
    }
    assert!(seen.len() > 5, "{seen:?}");
}

#[test]
fn a_database_that_is_gone_while_its_log_is_there_is_no_new_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path(), 3);
    fs::copy(dir.path().join("nlb.db-wal"), dir.path().join("kept")).unwrap();
    drop(store);
    fs::rename(dir.path().join("kept"), dir.path().join("nlb.db-wal")).unwrap();
    fs::remove_file(dir.path().join(FILE)).unwrap();
    let error = SqliteStore::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("it is gone, but its log ") && error.contains("move the files nlb.db*"), "{error}");
}

#[test]
fn a_damaged_store_is_put_aside_to_begin_anew() {
    let (dir, path, good) = closed();
    let (mut store, aside) = SqliteStore::open_or_begin_anew(dir.path()).unwrap();
    assert_eq!((store.get().unwrap(), aside), (expected(20), None), "not one that is whole");
    store.compare_and_set(20, &numbered(21)).unwrap();
    drop(store);
    for name in ["nlb.db.damaged", "nlb.db.damaged-2", "nlb.db.damaged-3"] {
        put(&path, &good[..5000]);
        fs::write(dir.path().join("nlb.db-wal"), "log").unwrap();
        let (store, aside) = SqliteStore::open_or_begin_anew(dir.path()).unwrap();
        assert_eq!(aside, Some(dir.path().join(name)));
        assert_eq!(store.get().unwrap(), Records::default());
        assert_eq!(fs::read(dir.path().join(name)).unwrap(), good[..5000]);
        assert_eq!(fs::read(dir.path().join(format!("{name}-wal"))).unwrap(), b"log");
    }
}

/// Else what is acknowledged would be in a file without a name.
#[test]
fn a_file_that_is_removed_or_replaced_while_open_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, kept) = (dir.path().join(FILE), dir.path().join("kept"));
    let mut store = filled(dir.path(), 2);
    fs::rename(&path, &kept).unwrap();
    let error = store.compare_and_set(2, &numbered(3)).unwrap_err().to_string();
    assert!(error.contains("was removed or replaced while in use, so nothing was stored"), "{error}");
    fs::copy(&kept, &path).unwrap();
    assert!(matches!(store.compare_and_set(2, &numbered(3)), Err(StoreError::Replaced { .. })));
    fs::rename(&kept, &path).unwrap();
    assert_eq!(store.compare_and_set(2, &numbered(3)).unwrap(), 3);
    assert_eq!(SqliteStore::peek(dir.path()).unwrap().unwrap(), expected(3));
}
