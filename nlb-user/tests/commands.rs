//! The `nlb` command as scripts see it: exit codes, one-line errors, closed pipes. No data plane is needed.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

/// A node without a controller and without maps.
struct Node(tempfile::TempDir);

impl Node {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let at = dir.path().display();
        let text = format!("bpffs = \"{at}/bpffs\"\nsocket = \"{at}/nlb.sock\"\nstate_dir = \"{at}/state\"\n");
        std::fs::write(dir.path().join("node.toml"), text).expect("it can be written to");
        Self(dir)
    }

    fn path(&self, file: &str) -> String {
        self.0.path().join(file).display().to_string()
    }

    fn nlb(&self, args: &[&str]) -> Output {
        nlb().args(args).args(["--config", &self.path("node.toml")]).output().expect("the command can be run")
    }
}

fn nlb() -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_nlb")));
    command.env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

/// What a failed command said, which must be one line on standard error and nothing on standard output.
fn failure(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(output.stdout.is_empty() && error.lines().count() == 1 && error.starts_with("nlb: "), "{error}");
    error.trim_start_matches("nlb: ").trim_end().to_owned()
}

#[test]
fn version_is_told_in_both_formats() {
    let output = nlb().arg("version").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("nlb "));
    let output = nlb().args(["version", "--output", "json"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["map_layout"], nlb_common::layout::LAYOUT_VERSION);
}

#[test]
fn misuse_is_code_2_and_help_is_code_0() {
    for args in [&["frobnicate"][..], &["run", "--api", "here"], &["flow", "delete"], &["target", "register", "web"]] {
        let output = nlb().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
    assert_eq!(nlb().arg("--help").output().unwrap().status.code(), Some(0));
}

#[test]
fn changes_need_a_controller_and_say_how_to_start_one() {
    let node = Node::new();
    std::fs::write(node.path("lb.json"), r#"{"load_balancers":[],"target_groups":[]}"#).unwrap();
    for args in [
        &["apply", "-f", &node.path("lb.json")][..],
        &["export"],
        &["target", "register", "web", "10.0.1.11:8080"],
        &["target", "set-state", "web", "10.0.1.11:8080", "unhealthy"],
    ] {
        let expected = format!(
            "the controller is not running (nobody listens on {}); start it with `nlb run --iface IF`",
            node.path("nlb.sock")
        );
        assert_eq!(failure(&node.nlb(args)), expected);
    }
}

#[test]
fn reading_commands_say_that_there_are_no_maps() {
    let node = Node::new();
    for args in [&["status"][..], &["counters"], &["flow", "list"], &["explain", "tcp", "10.0.0.1:1", "10.0.0.2:80"]] {
        let error = failure(&node.nlb(args));
        assert!(error.contains(&node.path("bpffs")) && error.contains("nlb run"), "{error}");
    }
}

#[test]
fn a_bad_node_file_is_told_before_anything_else() {
    let node = Node::new();
    std::fs::write(node.path("node.toml"), "zone = \"a\"\nmax_flow = 4096\n").unwrap();
    let expected = format!(
        "{}:2:1: unknown field `max_flow`, expected one of `zone`, `bpffs`, `socket`, `state_dir`, `max_flows`",
        node.path("node.toml")
    );
    for args in [&["status"][..], &["run", "--iface", "lo"]] {
        let told = failure(&node.nlb(args));
        assert!(told.starts_with(&expected), "{told}");
    }
    let missing = nlb().args(["status", "--config", "/nonexistent/node.toml"]).output().unwrap();
    assert!(failure(&missing).starts_with("/nonexistent/node.toml: No such file"));
}

#[test]
fn a_bad_desired_state_stops_the_start_before_anything_is_touched() {
    let node = Node::new();
    std::fs::write(node.path("lb.json"), "{\n  \"load_balancers\": 3, \"target_groups\": []\n}\n").unwrap();
    let output = node.nlb(&["run", "--iface", "lo", "--apply", &node.path("lb.json")]);
    let error = failure(&output);
    assert!(error.starts_with(&format!("{}:2:", node.path("lb.json"))), "{error}");
    assert!(!Path::new(&node.path("state")).exists() && !Path::new(&node.path("bpffs")).exists());
    let error = failure(&node.nlb(&["run", "--iface", "lo", "--apply", &node.path("missing.json")]));
    assert!(error.contains("missing.json") && error.contains("No such file"), "{error}");
}

#[test]
fn families_of_a_question_must_agree() {
    let node = Node::new();
    let error = failure(&node.nlb(&["explain", "tcp", "10.0.0.1:1", "[2001:db8::10]:80"]));
    assert!(error.contains("address families"), "{error}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = nlb().args(["--help"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    child.wait().unwrap();
    let mut child = nlb().arg("version").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let error: Vec<String> = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap).collect();
    assert_eq!((child.wait().unwrap().code(), error), (Some(0), vec![]));
}
