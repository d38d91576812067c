//! `nlb store` as operators use it: on files, with a store that is open elsewhere and one that is not.
#![expect(clippy::unwrap_used, reason = "what helps tests may panic as they do")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use nlb_common::hash::Secret;
use nlb_user::{
    model::{
        Account, Arn, Family, HealthCheck, HealthProtocol, Protocol, State, Target, TargetGroup, TargetId, TargetKey,
        TargetType, new_id,
    },
    store::{Reader, Records, SqliteStore, Store as _},
};

const SECRET: Secret = Secret { k0: 0x0123_4567_89ab_cdef, k1: 0xfedc_ba98_7654_3210 };

/// A node with a store of some target groups at revision 1.
struct Node(tempfile::TempDir);

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        fs::write(dir.path().join("node.toml"), format!("state_dir = \"{at}/state\"\nsocket = \"{at}/nlb.sock\"\n"))
            .unwrap();
        Self(dir)
    }

    fn filled(groups: usize) -> Self {
        let node = Self::new();
        let mut store = node.open();
        store.compare_and_set(0, &State::default().changes_to(&state(groups))).unwrap();
        store.secret(Some(SECRET)).unwrap();
        node
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path("state")).unwrap()
    }

    fn records(&self) -> Records {
        SqliteStore::peek(&self.path("state")).unwrap().unwrap()
    }

    fn nlb(&self, args: &[&str]) -> Output {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_nlb")));
        command.env_remove("RUST_LOG").stdin(Stdio::null()).current_dir(self.0.path());
        command.arg("store").args(args).args(["--config", "node.toml"]).output().unwrap()
    }

    /// What a command prints that does it.
    fn done(&self, args: &[&str]) -> String {
        let output = self.nlb(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command says that does not.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.nlb(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// So many target groups, with a target each.
fn state(groups: usize) -> State {
    let account = Account { region: "us-east-1".into(), id: "123456789012".into() };
    let mut state = State::default();
    for number in 0..groups {
        let name = format!("group-{number}");
        let arn = Arn::target_group(&account, &name, &new_id());
        let created = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let target = TargetKey { id: TargetId::Ip("10.0.0.1".parse().unwrap()), port: 80 };
        let group = TargetGroup {
            arn: arn.clone(),
            name,
            target_type: TargetType::Ip,
            protocol: Protocol::Tcp,
            port: 80,
            vpc: Some("vpc-1".into()),
            family: Family::Ipv4,
            health_check: HealthCheck {
                protocol: HealthProtocol::Tcp,
                port: None,
                path: None,
                matcher: None,
                interval_s: 30,
                timeout_s: 10,
                healthy_threshold: 5,
                unhealthy_threshold: 2,
            },
            attributes: BTreeMap::from([("stickiness.enabled".into(), "true".into())]),
            tags: BTreeMap::from([("ключ \"'".into(), "\u{1f980}\n".into())]),
            targets: BTreeMap::from([(target, Target { zone: None, registered: created, draining_until: None })]),
            created,
        };
        state.target_groups.insert(arn, group.into());
    }
    state
}

#[test]
fn an_export_is_imported_as_it_was() {
    let (from, to) = (Node::filled(3), Node::new());
    let running = from.open();
    let export = from.done(&["export", "--with-secret"]);
    drop(running);
    assert_eq!(from.done(&["export", "--with-secret"]), export, "with the store open elsewhere or not");
    assert!(export.contains("\"0123456789abcdeffedcba9876543210\""), "{export}");
    assert!(!from.done(&["export"]).contains("0123456789abcdef"), "the secret is left out");

    fs::write(to.path("export.json"), &export).unwrap();
    let told = to.done(&["import", "export.json"]);
    assert_eq!(told, "imported: 3 records, 3 changed, revision 1\n");
    assert_eq!(to.records(), from.records());
    assert_eq!(to.open().secret(None).unwrap(), SECRET);
    assert_eq!(State::from_records(&to.records().records).unwrap().target_groups.len(), 3);
    // Once more, to another directory; then there is nothing to change.
    assert!(to.done(&["--state", "other", "import", "export.json"]).contains("revision 1"));
    assert_eq!(to.done(&["import", "export.json"]), "imported: 3 records, 0 changed, revision 1\n");
    assert_eq!(to.done(&["export", "--with-secret"]), export);
}

#[test]
fn an_import_replaces_only_what_it_is_told_to() {
    let (from, to) = (Node::filled(3), Node::filled(2));
    fs::write(to.path("export.json"), from.done(&["export"])).unwrap();
    let refused = to.refused(&["import", "export.json"]);
    assert!(refused.contains("holds 2 records at revision 1: --force replaces them all"), "{refused}");
    assert_eq!(to.records().revision, 1);
    let running = to.open();
    let refused = to.refused(&["import", "--force", "export.json"]);
    assert!(refused.contains("is in use by a controller: stop it, import, and start it again"), "{refused}");
    drop(running);
    let told = to.done(&["import", "--force", "export.json", "--output", "json"]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told, serde_json::json!({"revision": 2, "records": 3, "changed": 5}));
    assert_eq!(to.records(), Records { revision: 2, ..from.records() });
    assert_eq!(to.open().secret(None).unwrap(), SECRET, "an export without a secret leaves it alone");
}

#[test]
fn an_import_that_is_wrong_changes_nothing() {
    let node = Node::filled(2);
    let export = node.done(&["export"]);
    let first = node.records().records.into_iter().next().unwrap();
    let dangling = format!(
        "\"listener/x\": {{\"arn\":\"x\",\"load_balancer\":\"lost\",\"protocol\":\"{}\",\"port\":1,\"target_group\":\"g\",\
         \"default_rule\":\"r\"}},\n    \"{}\"",
        serde_json::to_value(Protocol::Tcp).unwrap().as_str().unwrap(),
        first.0
    );
    for (text, expected) in [
        (String::new(), "neither an export nor a backup"),
        ("[]".into(), "neither an export nor a backup"),
        (export[..export.len() - 20].into(), "neither an export nor a backup"),
        (export.replacen("\"format\": 1", "\"format\": 2", 1), "it has format 2, and this version knows 1"),
        (export.replacen("\"revision\"", "\"revsion\"", 1), "unknown field `revsion`"),
        (export.replacen("\"revision\"", "\"secret\": \"0123\", \"revision\"", 1), "not 32 hexadecimal digits"),
        (export.replacen("\"port\":80", "\"port\":80000", 1), "can't be used: the record target-group/"),
        (export.replacen(&format!("\"{}\"", first.0), &dangling, 1), "its load balancer lost is not there"),
    ] {
        assert_ne!(text, export);
        fs::write(node.path("wrong.json"), &text).unwrap();
        let refused = node.refused(&["import", "--force", "wrong.json"]);
        assert!(refused.contains("wrong.json") && refused.contains(expected), "{expected}: {refused}");
        assert_eq!(refused.lines().count(), 1, "{refused}");
        assert_eq!(node.records().revision, 1);
    }
    let refused = node.refused(&["import", "nothing.json"]);
    assert!(refused.contains("cannot read nothing.json: No such file"), "{refused}");
}

#[test]
fn a_backup_is_taken_while_the_store_is_open_and_brings_back_a_damaged_one() {
    let node = Node::filled(2);
    let mut running = node.open();
    assert!(node.done(&["backup", "backup"]).contains("nlb store import --force"));
    let group = running.get().unwrap().records.into_keys().next().unwrap();
    running.compare_and_set(1, &[nlb_user::store::Change { key: group, value: None }]).unwrap();
    drop(running);
    let backup = Reader::open_backup(&node.path("backup")).unwrap().unwrap();
    assert_eq!((backup.records().unwrap().revision, backup.records().unwrap().records.len()), (1, 2));
    assert_eq!(fs::metadata(node.path("backup")).unwrap().permissions().mode() & 0o777, 0o600);
    let refused = node.refused(&["backup", "state/nlb.db"]);
    assert!(refused.contains("is the store itself"), "{refused}");

    let bytes = fs::read(node.path("state/nlb.db")).unwrap();
    fs::write(node.path("state/nlb.db"), &bytes[..5000]).unwrap();
    let refused = node.refused(&["import", "backup"]);
    assert!(refused.contains("is damaged (") && refused.contains("nlb store import --force FILE"), "{refused}");
    let told = node.done(&["import", "--force", "backup"]);
    assert!(told.starts_with("the damaged store is at ") && told.contains("2 changed, revision 1\n"), "{told}");
    assert_eq!(node.records(), backup.records().unwrap());
    assert_eq!(node.open().secret(None).unwrap(), SECRET);
    assert_eq!(fs::read(node.path("state/nlb.db.damaged")).unwrap(), bytes[..5000]);
}

#[test]
fn a_check_counts_and_tells_problems() {
    let node = Node::filled(1200);
    let running = node.open();
    let told = node.done(&["check"]);
    for line in ["format 1, revision 1, 1,200 records", "   1,200 target groups", "   1,200 targets", "all is well"] {
        assert!(told.contains(line), "{told}");
    }
    let told: serde_json::Value = serde_json::from_str(&node.done(&["check", "--output", "json"])).unwrap();
    assert_eq!((&told["targets"], &told["problems"]), (&1200.into(), &serde_json::json!([])));
    drop(running);

    let database = node.path("state/nlb.db");
    let good = fs::read(&database).unwrap();
    let mut bytes = good.clone();
    for at in 0..bytes.len() - 9 {
        if bytes[at..].starts_with(b"\"port\":80") {
            bytes[at + 8] = b'1';
        }
    }
    fs::write(&database, &bytes).unwrap();
    let output = node.nlb(&["check"]);
    assert_eq!(output.status.code(), Some(1));
    let (told, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(told.contains("problem: the record target-group/") && !told.contains("all is well"), "{told}");
    assert!(error.contains("has 1 problem: go back to a backup"), "{error}");
    assert!(node.refused(&["export"]).contains("is not what was written"));

    fs::write(&database, "nonsense").unwrap();
    assert!(node.refused(&["check"]).contains("is damaged (file is not a database)"));
}

#[test]
fn where_there_is_no_store() {
    let node = Node::new();
    for args in [&["export"][..], &["check"], &["backup", "b"], &["check", "--state", "/nonexistent"]] {
        let refused = node.refused(args);
        assert!(refused.contains("there is no store in ") && refused.contains("--state"), "{refused}");
    }
    assert!(!node.path("state").exists(), "looking makes none");
}
