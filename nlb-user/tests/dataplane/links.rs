//! Attaching, replacing, interfaces that go and come.

use nlb_user::dataplane::{AttachedLink, Dataplane, DataplaneError, Inspect, XdpMode};

use crate::sandbox::{OPTIONS, Sandbox, ifindex, ip};

/// In every network namespace, and without native XDP.
const LOOPBACK: u32 = 1;

fn links(sandbox: &Sandbox) -> Vec<AttachedLink> {
    Inspect::open(&sandbox.pins()).unwrap().interfaces().unwrap()
}

#[test]
fn a_new_controller_replaces_the_program_in_place() {
    Sandbox::run(|sandbox| {
        ip("link add nlb0 type veth peer name nlb1");
        let index = ifindex("nlb0");
        let mut first = sandbox.start();
        let attached = first.attach("nlb0", index, XdpMode::Native).unwrap();
        assert_eq!((attached.mode, attached.replaced), (XdpMode::Native, false));
        assert!(first.maps().allows_egress(index).unwrap());
        let before = links(sandbox);
        assert_eq!(before[0].interface.as_deref(), Some("nlb0"));
        assert_eq!((before[0].mode, before[0].ifindex), (Some(XdpMode::Native), index));
        drop(first);
        assert_eq!(links(sandbox), before, "the program outlives its controller");

        let (mut second, _) = Dataplane::start(&sandbox.pins(), &OPTIONS).unwrap();
        let attached = second.attach("nlb0", index, XdpMode::Native).unwrap();
        assert_eq!((attached.mode, attached.replaced), (XdpMode::Native, true));
        let after = links(sandbox);
        assert_eq!(after.len(), 1);
        assert_ne!(after[0].program, before[0].program);
        assert_eq!(after[0].program, second.program().unwrap().info().unwrap().id());
    });
}

#[test]
fn another_mode_takes_another_link() {
    Sandbox::run(|sandbox| {
        ip("link add nlb0 type veth peer name nlb1");
        let index = ifindex("nlb0");
        let mut dataplane = sandbox.start();
        assert_eq!(dataplane.attach("nlb0", index, XdpMode::Generic).unwrap().mode, XdpMode::Generic);
        let attached = dataplane.attach("nlb0", index, XdpMode::Native).unwrap();
        assert_eq!((attached.mode, attached.replaced), (XdpMode::Native, false));
        assert_eq!(links(sandbox)[0].mode, Some(XdpMode::Native));
    });
}

#[test]
fn interfaces_without_native_xdp_are_explained() {
    Sandbox::run(|sandbox| {
        let mut dataplane = sandbox.start();
        let text = dataplane.attach("lo", LOOPBACK, XdpMode::Native).unwrap_err().to_string();
        assert!(text.contains("no native XDP") && text.contains("--xdp-mode generic"), "{text}");
        assert!(links(sandbox).is_empty());
        let attached = dataplane.attach("lo", LOOPBACK, XdpMode::Generic).unwrap();
        assert_eq!(attached.mode, XdpMode::Generic);
    });
}

#[test]
fn a_mode_that_fails_leaves_the_one_that_was() {
    Sandbox::run(|sandbox| {
        let mut dataplane = sandbox.start();
        dataplane.attach("lo", LOOPBACK, XdpMode::Generic).unwrap();
        dataplane.attach("lo", LOOPBACK, XdpMode::Native).unwrap_err();
        assert_eq!(links(sandbox)[0].mode, Some(XdpMode::Generic));
    });
}

#[test]
fn the_drivers_own_words_are_passed_on() {
    Sandbox::run(|sandbox| {
        ip("link add nlb0 numrxqueues 1 numtxqueues 1 type veth peer name nlb1 numtxqueues 4 numrxqueues 4");
        let mut dataplane = sandbox.start();
        let text = dataplane.attach("nlb0", ifindex("nlb0"), XdpMode::Native).unwrap_err().to_string();
        assert!(text.contains("rx queues"), "{text}");
        assert!(links(sandbox).is_empty());
    });
}

#[test]
fn another_program_is_left_alone() {
    Sandbox::run(|sandbox| {
        ip("link add nlb0 type veth peer name nlb1");
        let mut other = sandbox.start();
        // Attached without a link of ours: as somebody else's program is.
        let id = other.program().unwrap().info().unwrap().id();
        ip(&format!("link set dev nlb0 xdp pinned {}", sandbox.pins().program().display()));
        let mut dataplane = sandbox.start();
        let error = dataplane.attach("nlb0", ifindex("nlb0"), XdpMode::Native).unwrap_err();
        assert!(matches!(&error, DataplaneError::Occupied { id: found, .. } if *found == id), "{error}");
        assert!(error.to_string().contains("`nlb_xdp` (id"), "{error}");
    });
}

#[test]
fn an_interface_made_anew_gets_a_new_link() {
    Sandbox::run(|sandbox| {
        ip("link add nlb0 index 77 type veth peer name nlb1");
        let mut dataplane = sandbox.start();
        dataplane.attach("nlb0", 77, XdpMode::Native).unwrap();
        ip("link del nlb0");
        assert_eq!(links(sandbox)[0].ifindex, 0);
        ip("link add nlb0 index 77 type veth peer name nlb1");
        let attached = dataplane.attach("nlb0", 77, XdpMode::Native).unwrap();
        assert_eq!((attached.mode, attached.replaced), (XdpMode::Native, false));
        assert_eq!(links(sandbox)[0].interface.as_deref(), Some("nlb0"));
    });
}

#[test]
fn interfaces_that_are_named_no_more_are_detached() {
    Sandbox::run(|sandbox| {
        ip("link add nlb0 type veth peer name nlb1");
        let mut dataplane = sandbox.start();
        for name in ["nlb0", "nlb1"] {
            dataplane.attach(name, ifindex(name), XdpMode::Native).unwrap();
        }
        let detached = dataplane.detach_others(&[ifindex("nlb1")]).unwrap();
        assert_eq!(detached.iter().map(|link| link.interface.as_deref()).collect::<Vec<_>>(), [Some("nlb0")]);
        assert_eq!(links(sandbox).len(), 1);
    });
}

#[test]
fn an_unknown_interface_is_an_error() {
    Sandbox::run(|sandbox| {
        let mut dataplane = sandbox.start();
        dataplane.attach("nlb0", 4_000_000, XdpMode::Native).unwrap_err();
    });
}
