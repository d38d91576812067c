//! kill -9 at any moment loses nothing that was acknowledged.
//!
//! The test runs itself as a child that stores one revision after the other and prints each one once it is
//! acknowledged; the parent kills it, and reads what is left. Some children close and open the store between writes,
//! or put their log into the database all the time, so that those moments are hit as well.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::{
    sqlite_tests::{expected, numbered, open},
    *,
};

/// Says to the child where its store is.
const DIR: &str = "NLB_TEST_STORE_DIR";
/// Says to the child how it goes about it.
const WAY: &str = "NLB_TEST_STORE_WAY";
/// Kills in a normal run; with many cases of each property asked for (`--long`), one and a half times those.
const KILLS: u64 = 200;
/// Stores that are killed at the same time.
const STORES: u64 = 2;
/// Kills after which a store is begun anew: the first moments of one are some of those that matter.
const LIFE: u64 = 10;

#[test]
#[ignore = "the child of `acknowledged_revisions_survive_kill_9`"]
fn child() {
    let Ok(dir) = env::var(DIR) else { return };
    let way: u64 = env::var(WAY).unwrap().parse().unwrap();
    loop {
        let mut store = open(Path::new(&dir));
        if way % 3 == 1 {
            store.db.pragma_update(None, "wal_autocheckpoint", 1).unwrap();
        }
        let mut revision = store.get().unwrap().revision;
        for _ in 0..if way % 3 == 2 { 2 } else { u64::MAX } {
            revision = store.compare_and_set(revision, &numbered(revision + 1)).unwrap();
            println!("acknowledged {revision}");
            std::io::stdout().flush().unwrap();
        }
    }
}

#[test]
fn acknowledged_revisions_survive_kill_9() {
    let cases = env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse::<u64>().ok());
    let kills = cases.map_or(KILLS, |cases| KILLS.max(cases * 3 / 2)) / STORES;
    let revisions: u64 = thread::scope(|scope| {
        let stores: Vec<_> = (0..STORES).map(|which| scope.spawn(move || kill_again_and_again(which, kills))).collect();
        stores.into_iter().map(|store| store.join().unwrap()).sum()
    });
    println!("{} kills, {revisions} revisions", kills * STORES);
}

/// How many revisions were acknowledged.
fn kill_again_and_again(seed: u64, kills: u64) -> u64 {
    let mut dir = tempfile::tempdir().unwrap();
    let (mut sum, mut last) = (0, 0);
    for kill in 0..kills {
        if kill % LIFE == 0 {
            dir = tempfile::tempdir().unwrap();
            last = 0;
        }
        let random = getrandom::u64().unwrap();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["store::kill_tests::child", "--exact", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .env(WAY, (kill + seed).to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acknowledged =
            |line: &str| line.split_once("acknowledged ").and_then(|(_, number)| number.parse::<u64>().ok());
        let before = last;
        // Every other one is at work when it is hit; the rest may be starting, or recovering from the kill before.
        if random.is_multiple_of(2) {
            last = lines.find_map(|line| acknowledged(&line.unwrap())).expect("the child stores");
        }
        thread::sleep(Duration::from_micros(random >> 8 & 0x7fff));
        child.kill().unwrap();
        child.wait().unwrap();
        last = lines.map_while(Result::ok).filter_map(|line| acknowledged(&line)).fold(last, u64::max);
        sum += last - before;

        // As seen by a reader, and then by the next controller.
        let peeked = SqliteStore::peek(dir.path()).unwrap().unwrap_or_default();
        check(&peeked, last);
        let found = open(dir.path()).get().unwrap();
        assert_eq!(found, peeked);
        // The one that was not acknowledged but is there counts from now on.
        last = found.revision;
    }
    sum
}

fn check(found: &Records, last: u64) {
    assert!(found.revision == last || found.revision == last + 1, "{} after {last}", found.revision);
    assert_eq!(*found, expected(found.revision), "all of one revision, and all before it");
}
