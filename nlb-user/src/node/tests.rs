//! Tests of `node.toml`: defaults, mistakes and their places, secrets and who may read them.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

fn parse(text: &str) -> Node {
    Node::parse(text, Path::new("/etc/nlb/node.toml")).unwrap()
}

fn message(text: &str) -> String {
    Node::parse(text, Path::new("node.toml")).unwrap_err().to_string()
}

/// A directory with files of a mode each.
fn directory(files: &[(&str, &str, u32)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text, mode) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).unwrap();
    }
    dir
}

fn load(dir: &tempfile::TempDir) -> Result<Node, NodeError> {
    Node::load(Some(&dir.path().join("node.toml")))
}

#[test]
fn an_empty_file_is_the_defaults() {
    assert_eq!(Node::parse("", Path::new("node.toml")).unwrap(), Node::default().named("node.toml"));
    let node = Node::default();
    assert_eq!(node.account(), Account { region: "us-east-1".into(), id: "000000000000".into() });
    assert_eq!(node.inventory(), Inventory { zone: "zone-a".into(), ..Inventory::default() });
    assert!(node.keys().unwrap().is_empty());
    assert_eq!(node.audit_file(), Path::new("/var/lib/nlb/audit.log"));
}

impl Node {
    /// As read from this file.
    fn named(mut self, path: &str) -> Self {
        self.keys.path = path.into();
        self
    }
}

#[test]
fn keys_are_read() {
    let text = "zone = \"b\"\nbpffs = \"/tmp/b\"\nsocket = \"/tmp/s\"\nstate_dir = \"/tmp/d\"\nmax_flows = 4096\n\
                region = \"eu-west-9\"\naccount_id = \"123456789012\"\n\
                [quotas]\nload_balancers = 3\n[audit]\nfile = \"log/audit\"\nmax_bytes = 65536\nkeep = 0\n\
                [api]\nlisten = [\"127.0.0.1:9800\", \"[::1]:9800\"]\ncertificate_file = \"a.pem\"\n\
                key_file = \"/b/a.key\"\nallow_plain_http = true\n";
    let expected = Node {
        zone: "b".into(),
        bpffs: "/tmp/b".into(),
        socket: "/tmp/s".into(),
        state_dir: "/tmp/d".into(),
        max_flows: 4096,
        region: "eu-west-9".into(),
        account_id: "123456789012".into(),
        api: Api {
            listen: vec!["127.0.0.1:9800".parse().unwrap(), "[::1]:9800".parse().unwrap()],
            certificate_file: Some("/etc/nlb/a.pem".into()),
            key_file: Some("/b/a.key".into()),
            allow_plain_http: true,
        },
        quotas: Quotas { load_balancers: 3, ..Quotas::default() },
        audit: Audit { file: Some("/etc/nlb/log/audit".into()), max_bytes: 65536, keep: 0 },
        inventory: Inventory { zone: "b".into(), ..Inventory::default() },
        ..Node::default().named("/etc/nlb/node.toml")
    };
    assert_eq!(parse(text), expected);
}

/// The issue's own example.
#[test]
fn the_inventory_is_read() {
    let node = parse(
        r#"
        region = "us-east-1"
        account_id = "123456789012"
        zone = "us-east-1a"
        [[access_key]]
        id = "AKIAEXAMPLE"
        secret_file = "keys/AKIAEXAMPLE"
        [[subnet]]
        id = "subnet-a"
        vpc = "vpc-1"
        zone = "us-east-1a"
        cidr = "198.18.0.0/24"
        ipv6_cidr = "2001:db8:1::/64"
        interface = "eth0"
        [[instance]]
        id = "i-0a"
        subnet = "subnet-a"
        address = "198.18.0.21"
        [[instance]]
        id = "i-0b"
        subnet = "subnet-a"
        address = "198.18.0.22"
        state = "shutting-down"
        [[elastic_ip]]
        allocation_id = "eipalloc-1"
        address = "203.0.113.7"
        [[security_group]]
        id = "sg-1"
        [[certificate]]
        arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
        certificate_file = "tls/a.pem"
        key_file = "/secret/a.key"
        [[application_load_balancer]]
        arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/50dc6c495c0c9188"
        subnet = "subnet-a"
        address = "198.18.0.30"
        ports = [80, 443]
        "#,
    );
    let inventory = node.inventory();
    assert_eq!(inventory.zone, "us-east-1a");
    let subnet = &inventory.subnets["subnet-a"];
    assert_eq!((subnet.cidr.to_string(), subnet.interface.as_deref()), ("198.18.0.0/24".to_owned(), Some("eth0")));
    assert_eq!(subnet.ipv6_cidr.unwrap().to_string(), "2001:db8:1::/64");
    let states = ["i-0a", "i-0b"].map(|id| inventory.instances[id].state);
    assert_eq!(states, [crate::model::InstanceState::Running, crate::model::InstanceState::ShuttingDown]);
    assert_eq!(inventory.elastic_ips["eipalloc-1"].address.to_string(), "203.0.113.7");
    assert_eq!(inventory.security_groups["sg-1"].vpc, None);
    let certificate = &inventory.certificates["arn:aws:acm:us-east-1:123456789012:certificate/1"];
    assert_eq!(certificate.certificate_file, Path::new("/etc/nlb/tls/a.pem"));
    assert_eq!(certificate.key_file, Path::new("/secret/a.key"));
    assert_eq!(inventory.application_load_balancers.values().next().unwrap().ports, [80, 443]);
}

#[test]
fn mistakes_name_the_place_what_was_found_and_what_is_allowed() {
    let unknown = message("zone = \"a\"\nmax_flow = 5\n");
    let expected = "node.toml:2:1: unknown field `max_flow`, expected one of `zone`, `bpffs`, `socket`, `state_dir`, `max_flows`, ";
    assert!(unknown.starts_with(expected), "{unknown}");
    for (text, expected) in [
        ("max_flows = 5", "node.toml:1:13: max_flows: found 5, allowed are 1024 to 16777216"),
        ("max_flows = -1", "node.toml:1:13: max_flows: found -1, allowed are 1024 to 16777216"),
        (
            "zone = \"Zone A\"",
            "node.toml:1:8: zone: found \"Zone A\", allowed are 1 to 32 characters of a-z, 0-9 and -",
        ),
        ("region = \"\"", "node.toml:1:10: region: found \"\", allowed are 1 to 32 characters of a-z, 0-9 and -"),
        ("account_id = \"12345678901\"", "node.toml:1:14: account_id: found \"12345678901\", allowed are 12 digits"),
        ("account_id = \"12345678901x\"", "node.toml:1:14: account_id: found \"12345678901x\", allowed are 12 digits"),
        ("\nbpffs = \"bpf\"", "node.toml:2:9: found \"bpf\", allowed are absolute paths (beginning with /)"),
        (
            "[api]\nlisten = [\"localhost:80\"]",
            "node.toml:2:10: listen: found \"localhost:80\", allowed are ADDR:PORT and [ADDR]:PORT",
        ),
        (
            "[api]\nlisten = [\"[::1]:80\", \"[::1]:80\"]",
            "node.toml:2:10: listen: found [::1]:80 twice, once is enough",
        ),
        (
            "\n[api]\nkey_file = \"a\"",
            "node.toml:2:1: api: certificate_file and key_file belong together: give both, or neither",
        ),
        ("[audit]\nmax_bytes = 10", "node.toml:2:13: max_bytes: found 10, allowed are 65536 to 1099511627776"),
        ("[audit]\nkeep = -1", "node.toml:2:8: keep: found -1, allowed are 0 to 1000"),
        (
            "[[elastic_ip]]\nallocation_id = \"e\"\naddress = \"203.0.113.7\"\n[[elastic_ip]]\nallocation_id = \"e\"\naddress = \"203.0.113.8\"",
            "node.toml:4:1: elastic_ip: found the allocation_id \"e\" a second time; each elastic_ip has its own",
        ),
        (
            "[[access_key]]\nid = \"a b\"",
            "node.toml:2:6: id: found \"a b\", allowed are 1 to 128 letters, digits, _ and -",
        ),
        ("[[access_key]]\nid = \"a\"\nsecret = 1234567", "node.toml:3:10: secret: a text in quotes is expected"),
    ] {
        assert_eq!(message(text), expected);
    }
    for (text, start) in [
        ("zone = 3", "node.toml:1:8: invalid type: integer"),
        ("[[subnet]]\nid = \"a\"\nvpc = \"v\"\nzone = \"z\"\ncidr = \"10.0.0.0/33\"", "node.toml:5:8: "),
        ("[[subnet]]\nid = \"a\"\nvpc = \"v\"\nzone = \"z\"", "node.toml:1:1: missing field `cidr`"),
        ("[[instance]]\nid = \"a\"\nname = \"v\"", "node.toml:3:1: unknown field `name`, expected one of `id`"),
        ("[quotas]\nload_balancers = -1", "node.toml:2:18: "),
        ("[quotas]\nbalancers = 1", "node.toml:2:1: unknown field `balancers`"),
        ("[api]\ntls = true", "node.toml:2:1: unknown field `tls`"),
    ] {
        assert!(message(text).starts_with(start), "{}", message(text));
    }
    assert!(!message("zone = ").contains('\n'));
}

/// Each mistake has a line of its own, and is one of `ops::inventory`.
#[test]
fn an_inventory_that_does_not_go_together_is_refused() {
    let told = message(
        "[[subnet]]\nid = \"a\"\nvpc = \"v\"\nzone = \"Z\"\ncidr = \"10.0.0.0/24\"\n\
         [[instance]]\nid = \"i-1\"\nsubnet = \"b\"\naddress = \"10.0.0.7\"\n",
    );
    let lines: Vec<&str> = told.lines().collect();
    let [zone, subnet] = lines.as_slice() else { panic!("{told}") };
    assert!(zone.starts_with("node.toml: subnet a: zone \"Z\""), "{zone}");
    assert!(subnet.starts_with("node.toml: i-1: there is no subnet b"), "{subnet}");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let error = Node::load(Some(Path::new("/nonexistent/node.toml"))).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/node.toml: No such file"), "{error}");
}

#[test]
fn access_keys_come_from_files_of_their_own() {
    let entries = "access_key_file = \"more/keys.toml\"\n[[access_key]]\nid = \"ONE\"\nsecret_file = \"secrets/one\"\n";
    let more = "[[access_key]]\nid = \"TWO\"\nsecret = \"second\"\nuser_name = \"bob\"\n\
                [[access_key]]\nid = \"THREE\"\nsecret_file = \"three\"\n";
    let dir = directory(&[
        ("node.toml", entries, 0o644),
        ("secrets/one", "first\n", 0o600),
        ("more/keys.toml", more, 0o600),
        ("more/three", "third", 0o400),
    ]);
    let keys = load(&dir).unwrap().keys().unwrap();
    let found: Vec<_> = keys.iter().map(|(id, key)| (id, key.secret(), key.user())).collect();
    assert_eq!(found, [("ONE", "first", None), ("THREE", "third", None), ("TWO", "second", Some("bob"))]);
    assert_eq!(keys.get("TWO").unwrap().secret(), "second");
    assert_eq!(keys.get("FOUR"), None);
    // A key is taken back by loading again.
    fs::write(dir.path().join("more/keys.toml"), "").unwrap();
    assert_eq!(load(&dir).unwrap().keys().unwrap().iter().count(), 1);
}

#[test]
fn secrets_are_not_printed() {
    let node = parse("[[access_key]]\nid = \"AKIA\"\nsecret = \"hunter2\"\n");
    let printed = format!("{node:?} {:?} {:?}", node.keys().unwrap(), node.keys.entries);
    assert!(printed.contains("AKIA") && !printed.contains("hunter2"), "{printed}");
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let inline = "[[access_key]]\nid = \"A\"\nsecret = \"x\"\n";
    for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
        let dir = directory(&[("node.toml", inline, mode)]);
        match load(&dir) {
            Ok(node) => assert!(fine && node.keys().unwrap().get("A").is_some(), "{mode:o}"),
            Err(error) => {
                let error = error.to_string();
                assert!(!fine && error.contains(&format!("mode {mode:o} lets others at it: `chmod 600 ")), "{error}");
            }
        }
    }
    let by_file = "access_key_file = \"keys\"\n[[access_key]]\nid = \"A\"\nsecret_file = \"a\"\n";
    for (key, file) in [(0o644, 0o600), (0o600, 0o660)] {
        let dir = directory(&[("node.toml", by_file, 0o644), ("a", "x", key), ("keys", "", file)]);
        let error = load(&dir).unwrap().keys().unwrap_err().to_string();
        assert!(error.contains("lets others at it: `chmod 600 "), "{error}");
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: only root can make a file of somebody else");
        return;
    }
    let dir = directory(&[("node.toml", inline, 0o600)]);
    std::os::unix::fs::chown(dir.path().join("node.toml"), Some(12_345), None).unwrap();
    let error = load(&dir).unwrap_err().to_string();
    assert!(error.ends_with("belongs to user 12345: it must be root's or yours"), "{error}");
}

#[test]
fn secrets_that_are_none_are_refused() {
    let one = "zone = \"a\"\n[[access_key]]\nid = \"A\"\nsecret_file = \"a\"\n";
    let twice = "[[access_key]]\nid = \"A\"\nsecret = \"x\"\n[[access_key]]\nid = \"A\"\nsecret = \"y\"\n";
    for (text, secret, expected) in [
        (one, None, "node.toml:2:1: access_key: no secret for A: cannot read "),
        (one, Some(""), "node.toml:2:1: access_key: A needs a secret of one word"),
        (one, Some("two words"), "node.toml:2:1: access_key: A needs a secret of one word"),
        (one, Some("two\nlines\n"), "node.toml:2:1: access_key: A needs a secret of one word"),
        (twice, None, "node.toml:4:1: access_key: found the id \"A\" a second time"),
        ("[[access_key]]\nid = \"A\"\n", None, "node.toml:1:1: access_key: A needs either a secret_file or a secret"),
        ("access_key_file = \"keys\"", None, "keys: No such file"),
    ] {
        let dir = directory(&[("node.toml", text, 0o600)]);
        if let Some(secret) = secret {
            fs::write(dir.path().join("a"), secret).unwrap();
            fs::set_permissions(dir.path().join("a"), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let error = load(&dir).unwrap().keys().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    // A mistake in the file of keys is told with its place there.
    let dir = directory(&[("node.toml", "access_key_file = \"keys\"", 0o644), ("keys", "\nzone = \"a\"\n", 0o600)]);
    let error = load(&dir).unwrap().keys().unwrap_err().to_string();
    assert!(error.contains("/keys:2:1: unknown field `zone`"), "{error}");
}
