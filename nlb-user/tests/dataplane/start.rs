//! Starting, taking over, refusing, removing.

use std::{
    fs,
    os::fd::AsFd as _,
    process::{Command, Stdio},
};

use aya::maps::{Array, Map, MapData, MapType};
use nlb_common::layout::{Endpoint, LAYOUT_VERSION, Listener, Node, map};
use nlb_user::{
    dataplane::{Dataplane, DataplaneError, Inspect, MapIo, Options, Origin, Pins, XdpMode, memory_bytes},
    reconcile::{Maps as _, Step},
};

use crate::sandbox::{OPTIONS, Sandbox, ifindex, ip};

/// Something that a new start would not have.
fn mark(dataplane: &mut Dataplane) {
    let endpoint = Endpoint { proto: 6, ..Endpoint::default() };
    dataplane.maps().write(&Step::SetListener(endpoint, Listener { idle_s: 77, ..Listener::default() })).unwrap();
}

fn is_marked(dataplane: &mut Dataplane) -> bool {
    dataplane.maps().actual().unwrap().listeners.values().any(|listener| listener.idle_s == 77)
}

fn set_layout(pins: &Pins, layout: u32) {
    let node = MapData::from_pin(pins.map(map::NODE)).unwrap();
    let mut node: Array<MapData, Node> = Map::from_map_data(node).unwrap().try_into().unwrap();
    node.set(0, Node { layout, ..Node::default() }, 0).unwrap();
}

#[test]
fn what_is_pinned_is_taken_over_with_all_it_holds() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let (mut dataplane, origin) = Dataplane::start(&pins, &OPTIONS).unwrap();
        assert_eq!(origin, Origin::Created);
        assert_eq!(dataplane.maps().actual().unwrap().node.layout, LAYOUT_VERSION);
        mark(&mut dataplane);
        drop(dataplane);
        let options = Options { max_flows: 9999, ..OPTIONS };
        let (mut dataplane, origin) = Dataplane::start(&pins, &options).unwrap();
        assert_eq!(origin, Origin::TakenOver);
        assert!(is_marked(&mut dataplane));
        assert_eq!(dataplane.max_flows(), OPTIONS.max_flows, "maps that are taken over keep their size");
        let program = dataplane.program().unwrap().info().unwrap();
        println!("{} instructions verified", program.verified_instruction_count().unwrap());
    });
}

#[test]
fn starting_afresh_forgets_everything() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let mut dataplane = sandbox.start();
        mark(&mut dataplane);
        set_layout(&pins, LAYOUT_VERSION + 7);
        let (mut dataplane, origin) = Dataplane::start(&pins, &Options { fresh: true, ..OPTIONS }).unwrap();
        assert_eq!(origin, Origin::Created);
        assert!(!is_marked(&mut dataplane));
    });
}

#[test]
fn maps_of_another_layout_are_not_touched() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let mut dataplane = sandbox.start();
        mark(&mut dataplane);
        set_layout(&pins, 1000);
        let error = Dataplane::start(&pins, &OPTIONS).unwrap_err();
        assert!(matches!(error, DataplaneError::OtherLayout { found: 1000, needed: LAYOUT_VERSION, .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("version 1000") && text.contains("--fresh"), "{text}");
        assert!(matches!(Inspect::open(&pins), Err(DataplaneError::OtherLayout { .. })));
        set_layout(&pins, LAYOUT_VERSION);
        let (mut dataplane, origin) = Dataplane::start(&pins, &OPTIONS).unwrap();
        assert_eq!(origin, Origin::TakenOver);
        assert!(is_marked(&mut dataplane));
    });
}

#[test]
fn a_start_that_was_killed_halfway_is_begun_anew() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let mut dataplane = sandbox.start();
        mark(&mut dataplane);
        // As if killed before the node's record was written, or before its map was pinned.
        set_layout(&pins, 0);
        let (mut dataplane, origin) = Dataplane::start(&pins, &OPTIONS).unwrap();
        assert_eq!(origin, Origin::Created);
        assert!(!is_marked(&mut dataplane));
        fs::remove_file(pins.map(map::NODE)).unwrap();
        fs::remove_file(pins.map(map::TCP_FLOWS)).unwrap();
        assert!(matches!(Inspect::open(&pins), Err(DataplaneError::NotRunning { .. })));
        assert_eq!(Dataplane::start(&pins, &OPTIONS).unwrap().1, Origin::Created);
    });
}

#[test]
fn a_data_plane_that_forwards_is_never_begun_anew_unasked() {
    Sandbox::run(|sandbox| {
        ip("link add nlb0 type veth peer name nlb1");
        let pins = sandbox.pins();
        let mut dataplane = sandbox.start();
        dataplane.attach("nlb0", ifindex("nlb0"), XdpMode::Native).unwrap();
        fs::remove_file(pins.map(map::TARGETS)).unwrap();
        let text = Dataplane::start(&pins, &OPTIONS).unwrap_err().to_string();
        assert!(text.contains("TARGETS") && text.contains("--fresh"), "{text}");
        fs::remove_file(pins.map(map::NODE)).unwrap();
        assert!(matches!(Dataplane::start(&pins, &OPTIONS), Err(DataplaneError::Damaged { .. })));
    });
}

#[test]
fn a_map_of_another_size_is_noticed() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        sandbox.start();
        fs::remove_file(pins.map(map::GROUPS)).unwrap();
        let other = Array::<MapData, u32>::create(5, 0).unwrap();
        other.pin(pins.map(map::GROUPS)).unwrap();
        let text = Dataplane::start(&pins, &OPTIONS).unwrap_err().to_string();
        assert!(text.contains("map GROUPS"), "{text}");
    });
}

#[test]
fn removing_leaves_nothing() {
    Sandbox::run(|sandbox| {
        ip("link add nlb0 type veth peer name nlb1");
        let pins = sandbox.pins();
        let mut dataplane = sandbox.start();
        dataplane.attach("nlb0", ifindex("nlb0"), XdpMode::Native).unwrap();
        let removed = Dataplane::remove(&pins).unwrap();
        assert_eq!(removed.links.len(), 1);
        assert_eq!(removed.links[0].interface.as_deref(), Some("nlb0"));
        assert_eq!(removed.pins, map::ALL.len() + 1);
        assert!(sandbox.bpffs().exists() && !pins.dir().exists());
        let output = Command::new("ip").args(["link", "show", "nlb0"]).output().unwrap();
        assert!(!String::from_utf8_lossy(&output.stdout).contains("xdp"));
        assert!(Dataplane::remove(&pins).unwrap().is_empty());
        assert!(matches!(Inspect::open(&pins), Err(DataplaneError::NotRunning { .. })));
    });
}

#[test]
fn a_second_controller_is_told_who_the_first_is() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let lock = pins.lock().unwrap();
        let text = pins.lock().unwrap_err().to_string();
        assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
        drop(lock);
        pins.lock().unwrap();
        // A process that dies lets go.
        let mut child = Command::new("flock")
            .args(["--exclusive", &pins.dir().to_string_lossy(), "--command", "echo held; exec sleep 60"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0; 4]).unwrap();
        assert!(matches!(pins.lock(), Err(DataplaneError::Locked { pid: Some(_), .. })));
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn starting_afresh_keeps_the_lock() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let _lock = pins.lock().unwrap();
        Dataplane::start(&pins, &Options { fresh: true, ..OPTIONS }).unwrap();
        assert!(matches!(pins.lock(), Err(DataplaneError::Locked { .. })));
    });
}

#[test]
fn more_flows_than_there_is_memory_for_leave_nothing_behind() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let text = Dataplane::start(&pins, &Options { max_flows: u32::MAX, fresh: false }).unwrap_err().to_string();
        assert!(text.contains("max_flows") && text.contains("MiB"), "{text}");
        assert_eq!(fs::read_dir(pins.dir()).unwrap().count(), 0);
    });
}

#[test]
fn a_directory_elsewhere_is_refused() {
    Sandbox::run(|_| {
        let dir = tempfile::tempdir().unwrap();
        let error = Dataplane::start(&Pins::new(dir.path().join("pins")), &OPTIONS).unwrap_err();
        assert!(matches!(error, DataplaneError::NotBpffs { .. }), "{error}");
        assert!(!dir.path().join("pins").exists());
    });
}

#[test]
fn memory_is_as_estimated() {
    Sandbox::run(|sandbox| {
        let pins = sandbox.pins();
        let options = Options { max_flows: 262_144, fresh: false };
        let _dataplane = Dataplane::start(&pins, &options).unwrap();
        let locked: u64 = map::ALL.iter().map(|name| memory_locked(&pins, name)).sum();
        let estimate = memory_bytes(options.max_flows);
        println!("{} MiB estimated, {} MiB locked", estimate >> 20, locked >> 20);
        assert!(estimate.abs_diff(locked) * 20 < locked, "{estimate} is not within 5 % of {locked}");
    });
}

/// What the kernel says about a map's memory.
fn memory_locked(pins: &Pins, name: &str) -> u64 {
    use std::os::fd::AsRawFd as _;
    let map = MapData::from_pin(pins.map(name)).unwrap();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd())).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("memlock:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn errors_name_the_map_and_what_was_tried() {
    Sandbox::run(|sandbox| {
        let dataplane = sandbox.start();
        let error = dataplane.allow_egress(4_000_000).unwrap_err();
        assert!(matches!(error, DataplaneError::Map(MapIo { map: map::DEVICES, operation: "write", .. })), "{error:?}");
        let counters = MapData::from_pin(sandbox.pins().map(map::COUNTERS)).unwrap().info().unwrap();
        assert_eq!(counters.map_type().unwrap(), MapType::PerCpuArray);
    });
}
