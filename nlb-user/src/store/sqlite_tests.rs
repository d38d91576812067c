//! Tests of the database: revisions, locking, readers, the secret, formats.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::{schema::MIGRATIONS, sqlite::FILE, *};

/// How many revisions are to be told from what is stored.
const RING: u64 = 64;

/// Changes that can be told from others by their number: a record of many pages, a few small ones, one that comes and
/// goes, and one that stays for some revisions.
pub(super) fn numbered(number: u64) -> Vec<Change> {
    let value = |key: u64| Some(format!(r#"{{"n":{number},"key":{key}}}"#));
    let mut changes: Vec<Change> =
        (0..5).map(|key| Change { key: format!("small/{key}"), value: value(key) }).collect();
    changes.push(Change { key: "large/1".into(), value: Some(format!("\"{number:020000}\"")) });
    changes.push(Change { key: "odd/1".into(), value: value(9).filter(|_| number % 2 == 1) });
    changes.push(Change { key: format!("ring/{}", number % RING), value: Some(number.to_string()) });
    changes
}

/// What is there after all of [`numbered`] up to this revision.
pub(super) fn expected(revision: u64) -> Records {
    let mut records = BTreeMap::new();
    for number in revision.saturating_sub(RING - 1).max(1)..=revision {
        records.insert(format!("ring/{}", number % RING), number.to_string());
    }
    if revision > 0 {
        records.extend(numbered(revision).into_iter().filter_map(|it| Some((it.key, it.value?))));
    }
    Records { revision, records }
}

pub(super) fn open(dir: &Path) -> SqliteStore {
    SqliteStore::open(dir).unwrap()
}

/// A store that has seen so many revisions.
pub(super) fn filled(dir: &Path, revisions: u64) -> SqliteStore {
    let mut store = open(dir);
    for revision in 0..revisions {
        assert_eq!(store.compare_and_set(revision, &numbered(revision + 1)).unwrap(), revision + 1);
    }
    store
}

#[test]
fn both_engines_keep_what_the_trait_says() {
    fn check(store: &mut impl Store) {
        assert_eq!(store.get().unwrap(), Records::default());
        let watch = store.watch();
        assert_eq!(*watch.borrow(), 0);
        for revision in 1..4 {
            assert_eq!(store.compare_and_set(revision - 1, &numbered(revision)).unwrap(), revision);
            assert_eq!(store.get().unwrap(), expected(revision));
            assert_eq!(*watch.borrow(), revision);
        }
        for stale in [0, 2, 4] {
            let error = store.compare_and_set(stale, &numbered(9)).unwrap_err();
            assert!(matches!(error, StoreError::Conflict { expected, found: 3 } if expected == stale), "{error}");
        }
        assert_eq!(store.get().unwrap(), expected(3));
        assert!(watch.has_changed().is_ok(), "the sender is there");
        assert_eq!(store.compare_and_set(3, &[]).unwrap(), 4);
        let secret = store.secret(None).unwrap();
        assert_ne!(secret, Secret::default());
        assert_eq!(store.secret(Some(Secret { k0: 1, k1: 2 })).unwrap(), secret);
    }
    check(&mut MemoryStore::default());
    let dir = tempfile::tempdir().unwrap();
    check(&mut open(dir.path()));
}

#[test]
fn what_is_stored_outlives_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("deep/state");
    assert_eq!(SqliteStore::peek(&state).unwrap(), None);
    let mut store = filled(&state, 3);
    let secret = Secret { k0: u64::MAX, k1: 7 };
    assert_eq!(store.secret(Some(secret)).unwrap(), secret);
    drop(store);
    let mut store = open(&state);
    assert_eq!(store.get().unwrap(), expected(3));
    assert_eq!(*store.watch().borrow(), 3);
    assert_eq!(store.secret(None).unwrap(), secret);
    assert_eq!(store.compare_and_set(3, &numbered(4)).unwrap(), 4);
}

/// What no test that ends with the process can show: that a commit has reached the disk.
#[test]
fn commits_are_synced() {
    let dir = tempfile::tempdir().unwrap();
    for store in [filled(dir.path(), 1), filled(&dir.path().join("other"), 0)] {
        let mode: String = store.db.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        let synchronous: i64 = store.db.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!((mode.as_str(), synchronous), ("wal", 2), "2 is FULL");
    }
}

#[test]
fn secrets_differ_from_node_to_node() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, other] = dirs.each_ref().map(|dir| open(dir.path()).secret(None).unwrap());
    assert_ne!(one, other);
}

#[test]
fn readers_see_each_revision_while_the_store_is_open_and_after() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path(), 1);
    let reader = Reader::open(dir.path()).unwrap().unwrap();
    for revision in 1..50 {
        assert_eq!(reader.records().unwrap(), expected(revision));
        assert_eq!(SqliteStore::peek(dir.path()).unwrap().unwrap(), expected(revision));
        store.compare_and_set(revision, &numbered(revision + 1)).unwrap();
    }
    assert_eq!(reader.secret().unwrap(), None);
    let secret = store.secret(None).unwrap();
    assert_eq!(reader.secret().unwrap(), Some(secret));
    drop(store);
    assert_eq!(reader.records().unwrap(), expected(50));
    drop(reader);
    assert_eq!(SqliteStore::peek(dir.path()).unwrap().unwrap(), expected(50));
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = SqliteStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop(store);
    open(dir.path());
}

#[test]
fn only_the_owner_may_read_and_write() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let chmod = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let store = filled(&state, 1);
    assert_eq!(mode(&state), 0o700);
    for file in [FILE, "nlb.db-wal", "nlb.db-shm", "lock"] {
        assert_eq!(mode(&state.join(file)), 0o600, "{file}");
    }
    drop(store);
    chmod(&state.join(FILE), 0o644);
    let store = open(&state);
    assert_eq!(mode(&state.join(FILE)), 0o600);
    drop(store);
    chmod(&state, 0o777);
    let error = SqliteStore::open(&state).unwrap_err().to_string();
    assert!(error.starts_with("everybody may write to ") && error.contains("chmod o-w"), "{error}");
}

#[test]
fn a_later_format_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut later = MIGRATIONS.to_vec();
    later.push("CREATE TABLE more (n INTEGER)");
    drop(SqliteStore::open_as(dir.path(), &later).unwrap());
    let before = fs::read(dir.path().join(FILE)).unwrap();
    for error in [SqliteStore::open(dir.path()).unwrap_err(), SqliteStore::peek(dir.path()).unwrap_err()] {
        let error = error.to_string();
        assert!(
            error.ends_with("nlb.db has format 2, and this version knows 1: use the version that wrote it"),
            "{error}"
        );
    }
    assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), before);
}

#[test]
fn an_earlier_format_is_brought_up_to_date_by_the_writer() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 2));
    let mut later = MIGRATIONS.to_vec();
    later.push("ALTER TABLE records ADD COLUMN note TEXT NOT NULL DEFAULT ''");
    later.push("CREATE TABLE more (n INTEGER)");
    let error = Reader::open_file(&dir.path().join(FILE), &later).unwrap_err().to_string();
    assert!(error.contains("has format 1, and this version reads 3: start the controller"), "{error}");

    // One that fails half-way changes nothing.
    let mut broken = later.clone();
    broken.push("CREATE TABLE more (n INTEGER)");
    let error = SqliteStore::open_as(dir.path(), &broken).unwrap_err().to_string();
    assert!(error.contains("table more already exists"), "{error}");
    assert_eq!(open(dir.path()).get().unwrap(), expected(2));

    let mut store = SqliteStore::open_as(dir.path(), &later).unwrap();
    assert_eq!(store.get().unwrap(), expected(2));
    assert_eq!(store.compare_and_set(2, &numbered(3)).unwrap(), 3);
    drop(store);
    assert_eq!(SqliteStore::open_as(dir.path(), &later).unwrap().get().unwrap(), expected(3));
}

#[test]
fn all_records_are_replaced_in_one_revision() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path(), 3);
    let secret = store.secret(None).unwrap();
    let mut new = expected(2).records;
    new.insert("more/1".into(), "{}".into());
    new.remove("small/0");
    // 3 of ring/, small/, large/ and odd/ are other ones.
    let (revision, changed) = store.replace(&new, None).unwrap();
    assert_eq!((revision, store.get().unwrap()), (4, Records { revision: 4, records: new.clone() }));
    assert_eq!(changed, 1 + 1 + 1 + 4 + 1 + 1, "ring/3, more/1, small/0, small/1 to 4, large/1, odd/1");
    assert_eq!(*store.watch().borrow(), 4);
    assert_eq!(store.replace(&new, Some(secret)).unwrap(), (4, 0), "nothing to change");
    let other = Secret { k0: 1, k1: 2 };
    assert_eq!(store.replace(&new, Some(other)).unwrap(), (5, 0));
    assert_eq!(store.secret(None).unwrap(), other);
}

#[test]
fn a_backup_is_a_store_and_is_written_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(&dir.path().join("state"), 5);
    let secret = store.secret(None).unwrap();
    let reader = Reader::open(&dir.path().join("state")).unwrap().unwrap();
    let other = dir.path().join("other");
    fs::create_dir(&other).unwrap();
    let file = other.join(FILE);
    reader.backup(&file).unwrap();
    store.compare_and_set(5, &numbered(6)).unwrap();
    let list = || fs::read_dir(&other).unwrap().map(|it| it.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(list(), [FILE], "nothing beside it");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let backup = Reader::open_backup(&file).unwrap().unwrap();
    assert_eq!((backup.records().unwrap(), backup.secret().unwrap()), (expected(5), Some(secret)));
    assert_eq!(backup.integrity().unwrap(), [""; 0]);
    drop(backup);
    assert_eq!(list(), [FILE], "reading it leaves nothing either");

    reader.backup(&file).unwrap();
    let error = reader.backup(&other).unwrap_err().to_string();
    assert!(error.starts_with("cannot write "), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left of one that failed");
    let mut restored = open(&other);
    assert_eq!(restored.get().unwrap(), expected(6));
    assert_eq!(restored.secret(None).unwrap(), secret);
    assert_eq!(restored.compare_and_set(6, &numbered(7)).unwrap(), 7);
}

#[test]
fn backups_of_a_store_that_is_written_are_of_one_revision() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let mut store = filled(&state, 1);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let reader = Reader::open(&state).unwrap().unwrap();
            let mut last = 0;
            for _ in 0..15 {
                reader.backup(&dir.path().join("backup")).unwrap();
                let found = SqliteStore::backup_records(&dir.path().join("backup"));
                assert_eq!(found, expected(found.revision));
                assert!(found.revision >= last);
                last = found.revision;
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let mut revision = 1;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            revision = store.compare_and_set(revision, &numbered(revision + 1)).unwrap();
        }
        assert!(revision > 5, "{revision}: the writer was not held up");
    });
}

impl SqliteStore {
    fn backup_records(file: &Path) -> Records {
        Reader::open_backup(file).unwrap().unwrap().records().unwrap()
    }
}

/// The log is put into the database again and again, whatever was written and whoever reads.
#[test]
fn neither_log_nor_database_grows_with_the_number_of_writes() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    // What is asked here does not depend on it, and it is slow.
    store.db.pragma_update(None, "synchronous", "OFF").unwrap();
    let writes = match std::env::var("PROPTEST_CASES") {
        Ok(_) => 100_000,
        Err(_) => 4000,
    };
    let size = |name| fs::metadata(dir.path().join(name)).unwrap().len();
    for revision in 0..writes {
        let found = store.compare_and_set(revision, &numbered(revision + 1)[..6]).unwrap();
        if found % 500 == 0 {
            assert_eq!(SqliteStore::peek(dir.path()).unwrap().unwrap().revision, found);
            let (log, database) = (size("nlb.db-wal"), size(FILE));
            assert!(log < 5 << 20 && database < 1 << 20, "{log} and {database} bytes after {found} writes");
        }
    }
}
