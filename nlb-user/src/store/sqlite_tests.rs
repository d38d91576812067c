//! Tests of the database: revisions, locking, readers, the secret, formats.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::{schema::MIGRATIONS, sqlite::FILE, *};

/// Changes that can be told from others by their number: one record of many bytes and a few small ones.
pub(super) fn numbered(number: u64) -> Vec<Change> {
    let value = |key: u64| Some(format!(r#"{{"n":{number},"key":{key}}}"#));
    let mut changes: Vec<Change> =
        (0..5).map(|key| Change { key: format!("small/{key}"), value: value(key) }).collect();
    changes
        .push(Change { key: "large/1".into(), value: Some(format!("{:?}", "x".repeat(20_000) + &number.to_string())) });
    // One that comes and goes.
    changes.push(Change { key: "odd/1".into(), value: value(9).filter(|_| number % 2 == 1) });
    changes
}

/// What is there after all of [`numbered`] up to this revision.
pub(super) fn expected(revision: u64) -> Records {
    let mut records = BTreeMap::new();
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
        assert!(!watch.has_changed().is_err());
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
