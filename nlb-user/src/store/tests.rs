//! Tests of the store: revisions, damage, locking, the secret.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use super::{
    legacy::{Store as _, Stored, Versioned},
    *,
};
use crate::serving::{Config, Limits, TargetId};

/// A value that can be told from others by its number, and is large enough to be written in several pieces.
pub(super) fn numbered(number: u64) -> Stored {
    let targets: Vec<String> = (0..500)
        .map(|i| format!(r#"{{"id":"10.{}.{}.{}","port":{}}}"#, number % 250, i / 250, i % 250 + 1, number % 65535 + 1))
        .collect();
    let text = format!(
        r#"{{"load_balancers":[],"target_groups":[{{"name":"g{number}","protocol":"TCP","port":80,"target_type":"ip","targets":[{}]}}]}}"#,
        targets.join(",")
    );
    let config = Config::from_json(&text, "test", &Limits::default()).unwrap();
    let id = TargetId { group: format!("g{number}"), addr: "10.0.0.1".parse().unwrap(), port: 1 };
    Stored { config, overrides: BTreeMap::from([(id, Override::Unhealthy)]) }
}

fn open(dir: &Path) -> FileStore {
    FileStore::open(dir).unwrap()
}

#[test]
fn what_is_stored_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("deep/state");
    let mut store = open(&state);
    assert_eq!(store.get().unwrap(), None);
    for revision in 1..4 {
        assert_eq!(store.compare_and_set(revision - 1, &numbered(revision)).unwrap(), revision);
        assert_eq!(store.get().unwrap().unwrap(), Versioned { revision, value: numbered(revision) });
    }
    assert_eq!(FileStore::peek(&state).unwrap(), store.get().unwrap());
    drop(store);
    assert_eq!(open(&state).get().unwrap().unwrap().revision, 3);
}

#[test]
fn a_stale_revision_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.compare_and_set(0, &numbered(1)).unwrap();
    let error = store.compare_and_set(0, &numbered(2)).unwrap_err();
    assert!(matches!(error, StoreError::Conflict { expected: 0, found: 1 }), "{error}");
    assert_eq!(store.get().unwrap().unwrap().value, numbered(1));
}

#[test]
fn one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let error = FileStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    drop(store);
    open(dir.path());
}

#[test]
fn a_lowered_idle_timeout_outlives_the_test_that_lowered_it() {
    let dir = tempfile::tempdir().unwrap();
    let text = r#"{"load_balancers":[{"name":"a","addresses":["198.18.0.1"],"listeners":[{"protocol":"TCP","port":80,
        "target_group":"a","attributes":{"tcp.idle_timeout.seconds":"1"}}]}],"target_groups":[{"name":"a",
        "protocol":"TCP","port":80,"target_type":"ip","targets":[]}]}"#;
    let config = Config::from_json(text, "test", &Limits { min_idle_s: 1 }).unwrap();
    let stored = Stored { config, ..Stored::default() };
    let mut store = open(dir.path());
    store.compare_and_set(0, &stored).unwrap();
    assert_eq!(store.get().unwrap().unwrap().value, stored);
}

#[test]
fn damage_is_named_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("desired.json");
    let mut store = open(dir.path());
    store.compare_and_set(0, &numbered(1)).unwrap();
    let good = fs::read_to_string(&path).unwrap();
    let cases = [
        (String::new(), "EOF"),
        (good[..good.len() / 2].to_owned(), "EOF"),
        (good.replacen("\"revision\"", "\"revsion\"", 1), "revsion"),
        (good.replacen("\"format\": 1", "\"format\": 2", 1), "has format 2, and this version knows 1"),
        (good.replacen("\"port\": 80", "\"port\": 0", 1), "target_groups[0].port: found 0"),
        (good.replacen("\"unhealthy\"", "\"sick\"", 1), "`sick` is no health state"),
        (good.replacen("g1/10", "g1-10", 1), "names no target"),
    ];
    for (text, expected) in cases {
        assert_ne!(text, good);
        fs::write(&path, &text).unwrap();
        let found = store.get().unwrap_err().to_string();
        assert!(found.contains("desired.json") && found.contains(expected), "{expected}: {found}");
        assert!(
            found.contains("restore it from a backup") || found.contains("use the version that wrote it"),
            "{found}"
        );
        assert!(store.compare_and_set(1, &numbered(2)).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, [0xff, 0]).unwrap();
    assert!(matches!(store.get(), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_write_that_was_cut_short_is_not_seen() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path());
    store.compare_and_set(0, &numbered(1)).unwrap();
    fs::write(dir.path().join("desired.json.new"), "{\"format\":").unwrap();
    assert_eq!(store.get().unwrap().unwrap().revision, 1);
    store.compare_and_set(1, &numbered(2)).unwrap();
    assert_eq!(store.get().unwrap().unwrap().value, numbered(2));
}

#[test]
fn the_secret_stays_and_is_nobody_else_s() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let secret = open(dir.path()).secret().unwrap();
    assert_eq!(open(dir.path()).secret().unwrap(), secret);
    assert_ne!(open(other.path()).secret().unwrap(), secret);
    assert_ne!(secret, Secret::default());
    let path = dir.path().join("secret");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for bytes in [&[][..], &[1; 15], &[1; 17], &[1; 24]] {
        fs::write(&path, bytes).unwrap();
        let error = open(dir.path()).secret().unwrap_err();
        assert!(matches!(error, StoreError::Secret { len, .. } if len == bytes.len()), "{error}");
    }
}

#[test]
fn a_directory_that_can_t_be_made() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let error = FileStore::open(&dir.path().join("file/state")).unwrap_err();
    assert!(error.to_string().starts_with("cannot make the directory "), "{error}");
}
