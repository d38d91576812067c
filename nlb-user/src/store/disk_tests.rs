//! Disks that are full or may only be read: refused in words, nothing lost, and all well once that is over.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::{
    sqlite::FILE,
    sqlite_tests::{expected, filled, numbered, open},
    *,
};

/// A file system of so many KiB, mounted where nobody else sees it, in a thread that ends with it.
fn on_small_disk(kib: u32, test: fn(PathBuf)) {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can mount a file system");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let done = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        let size = format!("size={kib}k,mode=0700");
        mount(Some("tmpfs"), &path, Some("tmpfs"), MsFlags::empty(), Some(size.as_str())).unwrap();
        test(path);
    });
    done.join().unwrap();
}

/// Fills the disk to its last byte. The file takes the room.
fn fill(dir: &Path) -> PathBuf {
    use std::io::Write as _;
    let path = dir.join("ballast");
    let mut file = fs::File::create(&path).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    path
}

fn remount(path: &Path, flags: MsFlags) {
    mount(None::<&str>, path, None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>).unwrap();
}

fn assert_full(error: &StoreError) {
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    let error = error.to_string();
    assert!(error.ends_with("its file system is full, so nothing was stored; make room and try again"), "{error}");
}

#[test]
fn a_full_disk_refuses_changes_and_keeps_what_there_is() {
    on_small_disk(8192, |dir| {
        let state = dir.join("state");
        let mut store = filled(&state, 40);
        let reader = Reader::open(&state).unwrap().unwrap();
        for round in 0..3 {
            let ballast = fill(&dir);
            // The log has room of its own for a while.
            let mut revision = store.get().unwrap().revision;
            let error = loop {
                match store.compare_and_set(revision, &numbered(revision + 1)) {
                    Ok(new) => revision = new,
                    Err(error) => break error,
                }
                assert!(revision < 2000, "never full");
            };
            assert_full(&error);
            assert_eq!(store.get().unwrap(), expected(revision), "round {round}");
            assert_eq!(reader.records().unwrap(), expected(revision));
            assert_eq!(*store.watch().borrow(), revision);
            fs::remove_file(ballast).unwrap();
            assert_eq!(store.compare_and_set(revision, &numbered(revision + 1)).unwrap(), revision + 1);
        }
        let last = store.get().unwrap();
        drop(reader);
        drop(store);
        assert_eq!(open(&state).get().unwrap(), last);
    });
}

/// As after a crash, with a log that was not put into the database yet.
#[test]
fn a_controller_that_died_on_a_full_disk_finds_everything_again() {
    on_small_disk(4096, |dir| {
        let state = dir.join("state");
        let store = filled(&state, 40);
        let copy = dir.join("copy");
        fs::create_dir(&copy).unwrap();
        for name in [FILE, "nlb.db-wal"] {
            fs::copy(state.join(name), copy.join(name)).unwrap();
        }
        drop(store);
        let ballast = fill(&dir);
        match SqliteStore::open(&copy) {
            Ok(store) => assert_eq!(store.get().unwrap(), expected(40)),
            Err(error) => assert_full(&error),
        }
        fs::remove_file(ballast).unwrap();
        assert_eq!(open(&copy).get().unwrap(), expected(40));
    });
}

#[test]
fn a_store_that_does_not_fit_is_not_begun() {
    on_small_disk(256, |dir| {
        let ballast = fill(&dir);
        let error = SqliteStore::open(&dir.join("state")).unwrap_err();
        assert_full(&error);
        assert!(SqliteStore::peek(&dir.join("state")).unwrap().is_none());
        fs::remove_file(ballast).unwrap();
        assert_eq!(open(&dir.join("state")).get().unwrap(), Records::default());
    });
}

#[test]
fn a_backup_that_does_not_fit_leaves_the_one_before() {
    on_small_disk(1024, |dir| {
        let state = tempfile::tempdir().unwrap();
        let mut store = filled(state.path(), 3);
        let reader = Reader::open(state.path()).unwrap().unwrap();
        reader.backup(&dir.join("backup")).unwrap();
        store.compare_and_set(3, &numbered(4)).unwrap();
        let ballast = fill(&dir);
        assert_full(&reader.backup(&dir.join("backup")).unwrap_err());
        let backup = Reader::open_backup(&dir.join("backup")).unwrap().unwrap();
        assert_eq!(backup.records().unwrap(), expected(3));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "nothing is left of it");
        fs::remove_file(ballast).unwrap();
        reader.backup(&dir.join("backup")).unwrap();
    });
}

#[test]
fn a_disk_that_may_only_be_read() {
    on_small_disk(4096, |dir| {
        let state = dir.join("state");
        let assert_read_only = |error: StoreError| {
            assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
            let error = error.to_string();
            assert!(
                error.contains("it may only be read, so nothing was stored") && error.contains("--state"),
                "{error}"
            );
        };
        drop(filled(&state, 3));
        remount(&dir, MsFlags::MS_RDONLY);
        assert_read_only(SqliteStore::open(&state).unwrap_err());
        assert_read_only(SqliteStore::open(&dir.join("other")).unwrap_err());
        assert_eq!(SqliteStore::peek(&state).unwrap().unwrap(), expected(3), "readers need not write");
        remount(&dir, MsFlags::empty());
        assert_eq!(open(&state).get().unwrap(), expected(3));
    });
}

/// The last change that fits, and the first that does not, without a file system of its own.
#[test]
fn a_full_database_refuses_changes() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path(), 2);
    let pages: i64 = store.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    store.db.pragma_update_and_check(None, "max_page_count", pages + 10, |_| Ok(())).unwrap();
    let large = |count: u64| -> Vec<Change> {
        (0..count).map(|it| Change { key: format!("big/{it}"), value: Some("x".repeat(9000)) }).collect()
    };
    assert_full(&store.compare_and_set(2, &large(10)).unwrap_err());
    assert_eq!(store.get().unwrap(), expected(2), "none of them");
    assert_eq!(store.compare_and_set(2, &large(2)).unwrap(), 3);
    store.db.pragma_update_and_check(None, "max_page_count", 1 << 20, |_| Ok(())).unwrap();
    assert_eq!(store.compare_and_set(3, &large(10)).unwrap(), 4);
}

#[test]
fn another_program_that_holds_the_database_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = filled(dir.path(), 2);
    store.db.busy_timeout(std::time::Duration::from_millis(50)).unwrap();
    let other = rusqlite::Connection::open(dir.path().join(FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.compare_and_set(2, &numbered(3)).unwrap_err().to_string();
    assert!(error.contains("another program, such as sqlite3, has it locked"), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.compare_and_set(2, &numbered(3)).unwrap(), 3);
}
