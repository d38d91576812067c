//! A store that cannot be written or read: one sentence, nothing lost, and packets flow on.

use std::{fs, path::Path};

use nix::mount::{MsFlags, mount};
use nlb_tests::{
    nlb::Nlb,
    topology::{Topology, vips},
};

use crate::setup::{all_answer, apply, connections, service, tcp_servers};

/// Small, and yet room for the database to begin with.
const SIZE: &str = "size=1m,mode=700";

/// Mounts a small file system for the node's state, where only the balancer sees it.
fn small_disk(network: &Topology, dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    let mounted = network.balancer.ns.run(|| mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some(SIZE)));
    mounted.unwrap();
}

/// Fills the file system that a directory is on.
fn fill(network: &Topology, dir: &Path) {
    network.balancer.ns.run(|| {
        let full = fs::write(dir.join("filler"), vec![0; 2 << 20]).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    });
}

#[test]
fn a_full_disk_refuses_changes_and_keeps_forwarding() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let mut nlb = Nlb::prepare_for(&network).unwrap();
    let state = nlb.path("state");
    small_disk(&network, &state);
    nlb.run().unwrap();
    nlb.begin_accounts().unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);
    let mut open = connections(&network.clients[0], &vips(0), 3);

    fill(&network, &state);
    let before = nlb.json(&["export"]).unwrap();
    // More than the pages that the log of the database still has room in.
    let many: Vec<_> = (0..30).map(|n| service(&network, &format!("web-{n}"), "TCP", &vips(n))).collect();
    let file = nlb.path("lb.json");
    fs::write(&file, nlb_tests::nlb::Service::json(&many).to_string()).unwrap();
    let refused = nlb.output(&["apply", "-f", &file.display().to_string()]).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("full"), "{said}");
    assert_eq!(nlb.json(&["export"]).unwrap(), before, "nothing is half-applied");
    all_answer(&mut open);
    all_answer(&mut connections(&network.clients[1], &vips(0), 3));

    network.balancer.ns.run(|| fs::remove_file(state.join("filler")).unwrap());
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0)), service(&network, "more", "TCP", &vips(1))]);
    all_answer(&mut open);
    all_answer(&mut connections(&network.clients[0], &vips(1), 3));
}

#[test]
fn a_damaged_store_is_told_and_packets_flow_on() {
    let network = Topology::new().unwrap();
    let _servers = tcp_servers(&network);
    let mut nlb = Nlb::start(&network).unwrap();
    apply(&nlb, &[service(&network, "web", "TCP", &vips(0))]);
    let backup = nlb.path("backup.db").display().to_string();
    nlb.cli(&["store", "backup", &backup]).unwrap();
    let mut open = connections(&network.clients[0], &vips(0), 3);
    nlb.terminate().unwrap();
    let state = nlb.path("state");
    for name in ["nlb.db-wal", "nlb.db-shm"] {
        let _not_there = fs::remove_file(state.join(name));
    }
    fs::write(state.join("nlb.db"), b"this is no database, and it was one before").unwrap();

    let failed = nlb.run_command().output().unwrap();
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(!failed.status.success() && said.contains("nlb.db is damaged"), "{said}");
    assert!(!nlb.output(&["store", "check"]).unwrap().status.success());
    all_answer(&mut open);
    all_answer(&mut connections(&network.clients[1], &vips(0), 3));

    // What the sentence says to do.
    nlb.cli(&["store", "import", "--force", &backup]).unwrap();
    nlb.run().unwrap();
    assert_eq!(nlb.json(&["status"]).unwrap()["load_balancers"][0]["name"], "web");
    all_answer(&mut open);
}
