//! kill -9 at any moment: the last acknowledged revision is always there.
//!
//! The test runs itself as a child that stores one revision after the other and prints each one once it is
//! acknowledged; the parent kills it, and reads what is left.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::{FileStore, legacy::Store as _, tests::numbered};

/// Says to the child where its store is.
const DIR: &str = "NLB_TEST_STORE_DIR";
const ROUNDS: u64 = 120;

#[test]
#[ignore = "the child of `acknowledged_revisions_survive_kill_9`"]
fn child() {
    let Ok(dir) = env::var(DIR) else { return };
    let mut store = FileStore::open(Path::new(&dir)).unwrap();
    let mut revision = store.get().unwrap().map_or(0, |stored| stored.revision);
    loop {
        revision = store.compare_and_set(revision, &numbered(revision + 1)).unwrap();
        println!("acknowledged {revision}");
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn acknowledged_revisions_survive_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["store::kill::child", "--exact", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let acknowledged = |line: &str| line.split_once("acknowledged ").and_then(|(_, number)| number.parse().ok());
        // At least one, so that the child is at work; then any moment of the next writes.
        let first = lines.find_map(|line| acknowledged(&line.unwrap())).expect("the child stores");
        thread::sleep(Duration::from_micros(round * 7919 % 60_000));
        child.kill().unwrap();
        child.wait().unwrap();
        last = lines.map_while(Result::ok).filter_map(|line| acknowledged(&line)).fold(first, u64::max);

        let stored = FileStore::open(dir.path()).unwrap().get().unwrap().expect("one was acknowledged");
        assert!(stored.revision == last || stored.revision == last + 1, "{} after {last}", stored.revision);
        assert_eq!(stored.value, numbered(stored.revision), "all of one revision");
    }
    println!("{ROUNDS} kills, {last} revisions");
}
