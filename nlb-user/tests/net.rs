//! The network room against a real kernel: two network namespaces on one veth pair, made anew for every test. They
//! belong to threads, and are gone with them. Needs root.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use nix::{
    sched::{CloneFlags, unshare},
    unistd::gettid,
};
use nlb_user::net::{Claim, Interface, Net, NetError, Resolution, preflight};

const HERE: &str = "nlb-here";
const THERE: &str = "nlb-there";
const HERE_V4: &str = "10.0.0.1";
const THERE_V4: &str = "10.0.0.2";
const THERE_V6: &str = "2001:db8::2";
const VIP_V4: &str = "198.18.0.10";
const VIP_V6: &str = "2001:db8:1::10";
const THERE_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Runs `ip` in the calling thread's namespace.
fn run_ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("`ip` of iproute2 runs");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs many `ip` commands in the calling thread's namespace.
fn run_ip_batch(lines: &str) {
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().expect("`ip` runs");
    child.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("`ip` reads");
    assert!(child.wait().expect("`ip` ends").success());
}

/// Moves the calling thread into a namespace of its own. IPv6 addresses work at once there.
fn enter_new_namespace() {
    unshare(CloneFlags::CLONE_NEWNET).expect("root may make namespaces");
    std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0").expect("root may set");
    run_ip("link set lo up");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// The other end of the veth pair: a thread in its namespace that does what it is told.
struct Peer {
    jobs: mpsc::Sender<Box<dyn FnOnce() + Send>>,
    tid: i32,
}

impl Peer {
    fn start() -> Self {
        let (jobs, received) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            enter_new_namespace();
            tell.send(gettid().as_raw()).expect("the test waits");
            while let Ok(job) = received.recv() {
                job();
            }
        });
        Self { jobs, tid: told.recv().expect("the peer starts") }
    }

    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = mpsc::channel();
        self.jobs.send(Box::new(move || drop(tell.send(job())))).expect("the peer lives");
        told.recv().expect("the peer's job succeeds")
    }

    fn ip(&self, arguments: &str) -> String {
        let arguments = arguments.to_owned();
        self.run(move || run_ip(&arguments))
    }
}

/// Runs a test between two fresh namespaces, in the first of them.
fn between_namespaces(test: impl AsyncFnOnce(&Net, &Interface, &Peer) + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        panic!("this test makes network namespaces and needs root; run `cargo xtask test` as root");
    }
    let body = move || {
        enter_new_namespace();
        let peer = Peer::start();
        run_ip(&format!("link add {HERE} type veth peer name {THERE} address 02:00:00:00:00:02 netns {}", peer.tid));
        run_ip(&format!("address add {HERE_V4}/24 dev {HERE}"));
        run_ip(&format!("address add 2001:db8::1/64 dev {HERE}"));
        run_ip(&format!("link set {HERE} up"));
        peer.ip(&format!("address add {THERE_V4}/24 dev {THERE}"));
        peer.ip(&format!("address add {THERE_V6}/64 dev {THERE}"));
        peer.ip(&format!("address add fe80::2/64 dev {THERE}"));
        peer.ip(&format!("link set {THERE} up"));
        // The kernel tells IPv6 only some time later that the link works; until then it doesn't discover neighbours.
        let deadline = Instant::now() + Duration::from_secs(5);
        let ready = |addresses: String| addresses.matches("inet6").count() >= 2 && !addresses.contains("tentative");
        while !ready(run_ip(&format!("-6 address show up dev {HERE}")))
            || !ready(peer.ip(&format!("-6 address show up dev {THERE}")))
        {
            assert!(Instant::now() < deadline, "the link does not come up");
            thread::sleep(Duration::from_millis(10));
        }
        block_on(async {
            let net = Net::open().await.expect("netlink");
            let interface = net.interface(HERE).await.expect("it was just made");
            test(&net, &interface, &peer).await;
        });
    };
    if let Err(panic) = thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}

fn mac_of(resolution: &Resolution) -> [u8; 6] {
    match resolution {
        Resolution::Hop(hop) => hop.dst_mac,
        Resolution::Unresolved { why } => panic!("unresolved: {why}"),
    }
}

fn why(resolution: &Resolution) -> &str {
    match resolution {
        Resolution::Hop(hop) => panic!("resolved: {hop:?}"),
        Resolution::Unresolved { why } => why,
    }
}

/// Tasks of a runtime with several threads can wait for every answer.
#[expect(dead_code, reason = "it is enough that it compiles")]
fn futures_are_send(net: &Net) {
    fn send(_: impl Send) {}
    send(net.interface("lo"));
    send(net.resolve([ip(VIP_V4)]));
    send(net.claim(1, ip(VIP_V4)));
    send(net.claim_all(1, &[]));
    send(net.release(1, ip(VIP_V4)));
    send(net.announce(1, ip(VIP_V4)));
    send(Net::open());
    send(net.changes());
}

#[test]
fn free_addresses_are_claimed_announced_and_released() {
    between_namespaces(async |net, here, peer| {
        // The peer remembers where these addresses were before: at a host that is gone.
        peer.ip(&format!("neigh add {VIP_V4} lladdr 02:00:00:00:00:99 dev {THERE} nud stale"));
        peer.ip(&format!("neigh add {VIP_V6} lladdr 02:00:00:00:00:99 dev {THERE} nud stale"));
        let begun = Instant::now();
        let (v4, v6) = tokio::join!(net.claim(here.index, ip(VIP_V4)), net.claim(here.index, ip(VIP_V6)));
        assert_eq!((v4.unwrap(), v6.unwrap()), (Claim::Ours, Claim::Ours));
        assert!(begun.elapsed() < Duration::from_millis(1300), "claiming took {:?}", begun.elapsed());

        let mac = nlb_user::net::MacText(here.mac.unwrap()).to_string();
        for address in [VIP_V4, VIP_V6] {
            let neighbour = peer.ip(&format!("neigh show {address} dev {THERE}"));
            assert!(neighbour.contains(&mac), "the announcement did not reach the peer: {neighbour}");
            net.release(here.index, ip(address)).await.unwrap();
            net.release(here.index, ip(address)).await.expect("releasing twice is no error");
        }
        let left = run_ip(&format!("address show dev {HERE}"));
        assert!(!left.contains(VIP_V4) && !left.contains(VIP_V6), "{left}");
    });
}

#[test]
fn addresses_that_others_have_are_left_to_them() {
    between_namespaces(async |net, here, peer| {
        for address in [VIP_V4, VIP_V6] {
            peer.ip(&format!("address add {address} dev {THERE}"));
            assert_eq!(net.claim(here.index, ip(address)).await.unwrap(), Claim::InUse { by: THERE_MAC });
        }
        let here = run_ip(&format!("address show dev {HERE}"));
        assert!(!here.contains(VIP_V4) && !here.contains(VIP_V6), "{here}");
    });
}

#[test]
fn two_nodes_that_want_an_address_at_once_see_each_other() {
    between_namespaces(async |net, here, peer| {
        for address in [VIP_V4, VIP_V6] {
            let (tell, told) = mpsc::channel();
            let rival = move || {
                let claim = block_on(async {
                    let net = Net::open().await.unwrap();
                    let there = net.interface(THERE).await.unwrap();
                    net.claim(there.index, ip(address)).await.unwrap()
                });
                tell.send(claim).unwrap();
            };
            peer.jobs.send(Box::new(rival)).unwrap();
            let ours = net.claim(here.index, ip(address)).await.unwrap();
            let theirs = told.recv().unwrap();
            assert!(!(ours == Claim::Ours && theirs == Claim::Ours), "both took {address}");
        }
    });
}

#[test]
fn a_restarted_controller_keeps_its_addresses() {
    between_namespaces(async |net, here, peer| {
        for address in [VIP_V4, VIP_V6] {
            net.claim(here.index, ip(address)).await.unwrap();
            // If it probed, the peer would be found.
            peer.ip(&format!("address add {address} dev {THERE}"));
            let restarted = Net::open().await.unwrap();
            let begun = Instant::now();
            assert_eq!(restarted.claim(here.index, ip(address)).await.unwrap(), Claim::Ours);
            assert!(begun.elapsed() < Duration::from_millis(500));
            restarted.release(here.index, ip(address)).await.unwrap();
        }
        assert!(!run_ip(&format!("address show dev {HERE}")).contains(VIP_V4));
    });
}

#[test]
fn hundreds_of_addresses_are_claimed_together() {
    between_namespaces(async |net, here, peer| {
        let v4 = (0..300_u32).map(|n| IpAddr::from(Ipv4Addr::from_bits(0xc612_0100 + n)));
        let v6 = (0..300_u16).map(|n| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 1, n)));
        let addresses: Vec<IpAddr> = v4.chain(v6).collect();
        let (foreign_v4, foreign_v6) = (addresses[7], addresses[307]);
        peer.ip(&format!("address add {foreign_v4}/32 dev {THERE}"));
        peer.ip(&format!("address add {foreign_v6}/128 dev {THERE}"));
        for what in ["new", "there already"] {
            let begun = Instant::now();
            let claims = net.claim_all(here.index, &addresses).await.unwrap();
            println!("600 addresses, {what}: {:?}", begun.elapsed());
            assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
            for address in &addresses {
                let foreign = [foreign_v4, foreign_v6].contains(address);
                let expected = if foreign { Claim::InUse { by: THERE_MAC } } else { Claim::Ours };
                assert_eq!(claims[address].as_ref().unwrap(), &expected, "{address}");
            }
        }
    });
}

#[test]
fn an_address_moves_with_the_interface_it_is_wanted_on() {
    between_namespaces(async |net, here, _| {
        run_ip("tuntap add dev nlb-other mode tun");
        run_ip("link set nlb-other up");
        let other = net.interface("nlb-other").await.unwrap();
        assert!(!other.discovers);
        let begun = Instant::now();
        net.claim(other.index, ip(VIP_V4)).await.unwrap();
        assert!(begun.elapsed() < Duration::from_millis(500), "there is nobody to probe on such an interface");
        net.claim(here.index, ip(VIP_V4)).await.unwrap();
        assert!(run_ip(&format!("address show dev {HERE}")).contains(VIP_V4));
        assert!(!run_ip("address show dev nlb-other").contains(VIP_V4));
    });
}

#[test]
fn an_operators_address_is_used_and_kept() {
    between_namespaces(async |net, here, _| {
        run_ip(&format!("address add {VIP_V4}/32 dev {HERE}"));
        run_ip(&format!("address add {VIP_V6}/128 dev lo"));
        for (address, interface) in [(VIP_V4, HERE), (VIP_V6, "lo")] {
            assert_eq!(net.claim(here.index, ip(address)).await.unwrap(), Claim::Ours);
            net.release(here.index, ip(address)).await.unwrap();
            assert!(run_ip(&format!("address show dev {interface}")).contains(address));
        }
        assert!(!run_ip(&format!("address show dev {HERE}")).contains(VIP_V6), "it is on lo already");
    });
}

#[test]
fn claimed_addresses_are_no_source_of_the_nodes_own_traffic() {
    between_namespaces(async |net, here, _| {
        for address in ["10.0.0.3", "2001:db8::3"] {
            assert_eq!(net.claim(here.index, ip(address)).await.unwrap(), Claim::Ours);
        }
        // Now the claimed IPv4 address is the interface's first, which a route without gateway takes for its source;
        // the claimed IPv6 address is closer to the other end than the node's own.
        run_ip(&format!("address del {HERE_V4}/24 dev {HERE}"));
        run_ip(&format!("address add {HERE_V4}/24 dev {HERE}"));
        run_ip(&format!("route add 192.0.2.0/24 dev {HERE}"));
        for (any, other, own) in [("0.0.0.0", "192.0.2.1", HERE_V4), ("::", THERE_V6, "2001:db8::1")] {
            let socket = UdpSocket::bind((ip(any), 0)).unwrap();
            socket.connect((ip(other), 9)).unwrap();
            assert_eq!(socket.local_addr().unwrap().ip(), ip(own));
        }
    });
}

#[test]
fn claiming_on_an_interface_that_is_down_says_so() {
    between_namespaces(async |net, here, _| {
        run_ip(&format!("link set {HERE} down"));
        assert!(matches!(net.claim(here.index, ip(VIP_V4)).await, Err(NetError::Down { .. })));
    });
}

#[test]
fn next_hops_are_found_on_the_link_and_through_gateways() {
    between_namespaces(async |net, here, _| {
        run_ip(&format!("route add 10.1.0.0/16 via {THERE_V4}"));
        run_ip(&format!("route add 10.2.0.0/16 via inet6 fe80::2 dev {HERE}"));
        run_ip(&format!("route add 2001:db8:2::/48 via fe80::2 dev {HERE}"));
        let targets = [THERE_V4, THERE_V6, "10.1.2.3", "10.2.2.3", "2001:db8:2::3"].map(ip);
        let found = net.resolve(targets).await;
        for target in targets {
            let Resolution::Hop(hop) = &found[&target] else { panic!("{target}: {}", found[&target]) };
            assert_eq!((hop.ifindex, hop.dst_mac, hop.src_mac), (here.index, THERE_MAC, here.mac.unwrap()), "{target}");
        }
    });
}

#[test]
fn addresses_without_next_hop_say_why_in_time() {
    between_namespaces(async |net, _, _| {
        run_ip("route add blackhole 10.3.0.0/16");
        run_ip("tuntap add dev nlb-tun mode tun");
        run_ip("link set nlb-tun up");
        run_ip("route add 2001:db8:9::/48 dev nlb-tun");
        let expected = [
            ("10.0.0.77", "does not answer"),
            ("2001:db8::77", "does not answer"),
            ("192.0.2.1", "no route"),
            ("10.3.0.1", "forbids"),
            (HERE_V4, "this node itself"),
            ("10.0.0.255", "unicast"),
            ("2001:db8:9::1", "no Ethernet address"),
        ];
        let begun = Instant::now();
        let found = net.resolve(expected.map(|(address, _)| ip(address))).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "it took {:?}", begun.elapsed());
        for (address, text) in expected {
            let why = why(&found[&ip(address)]);
            assert!(why.contains(text), "{address}: {why}");
        }
    });
}

#[test]
fn stale_neighbours_are_used_and_confirmed() {
    between_namespaces(async |net, _, _| {
        mac_of(&net.resolve([ip(THERE_V4)]).await[&ip(THERE_V4)]);
        run_ip(&format!("neigh change {THERE_V4} lladdr 02:00:00:00:00:02 dev {HERE} nud stale"));
        assert_eq!(mac_of(&net.resolve([ip(THERE_V4)]).await[&ip(THERE_V4)]), THERE_MAC);
        let after = run_ip(&format!("neigh show {THERE_V4}"));
        assert!(!after.contains("STALE"), "nobody confirms it: {after}");
    });
}

#[test]
fn a_neighbour_that_moves_is_seen() {
    between_namespaces(async |net, _, peer| {
        let target = ip(THERE_V4);
        assert_eq!(mac_of(&net.resolve([target]).await[&target]), THERE_MAC);
        let mut changes = net.changes();
        peer.ip(&format!("link set {THERE} address 02:00:00:00:00:03"));
        peer.run(move || {
            block_on(async {
                let net = Net::open().await.unwrap();
                let there = net.interface(THERE).await.unwrap();
                net.announce(there.index, target).await.unwrap();
            });
        });
        let moved = async {
            loop {
                changes.next().await.unwrap();
                if mac_of(&net.resolve([target]).await[&target]) == [0x02, 0, 0, 0, 0, 0x03] {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(3), moved).await.expect("the change is told");
    });
}

#[test]
fn a_neighbour_that_comes_late_is_seen() {
    between_namespaces(async |net, _, peer| {
        let target = ip("10.0.0.50");
        let mut changes = net.changes();
        why(&net.resolve([target]).await[&target]);
        peer.ip(&format!("address add 10.0.0.50/24 dev {THERE}"));
        let came = async {
            while why_not(&net.resolve([target]).await[&target]).is_some() {
                changes.next().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(5), came).await.expect("the change is told");
    });
}

fn why_not(resolution: &Resolution) -> Option<&str> {
    match resolution {
        Resolution::Hop(_) => None,
        Resolution::Unresolved { why } => Some(why),
    }
}

#[test]
fn quiet_networks_tell_nothing() {
    between_namespaces(async |net, _, _| {
        mac_of(&net.resolve([ip(THERE_V4)]).await[&ip(THERE_V4)]);
        // Let the addresses and routes of the new interfaces settle.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut changes = net.changes();
        let told = tokio::time::timeout(Duration::from_millis(800), async {
            net.resolve([ip(THERE_V4)]).await;
            changes.next().await
        });
        assert!(told.await.is_err(), "resolving what is known is no change");
    });
}

#[test]
fn three_thousand_known_targets_resolve_at_once() {
    between_namespaces(async |net, _, _| {
        run_ip(&format!("address add 10.8.0.1/16 dev {HERE}"));
        let targets: Vec<Ipv4Addr> = (0..3000_u32).map(|n| Ipv4Addr::from_bits(0x0a08_0100 + n)).collect();
        let lines: String = targets
            .iter()
            .map(|target| format!("neigh add {target} lladdr 02:00:00:00:00:02 dev {HERE} nud permanent\n"))
            .collect();
        run_ip_batch(&lines);
        let begun = Instant::now();
        let found = net.resolve(targets.iter().copied().map(IpAddr::V4)).await;
        let took = begun.elapsed();
        assert_eq!(found.len(), targets.len());
        assert!(found.values().all(|resolution| mac_of(resolution) == THERE_MAC));
        println!("3,000 targets resolved in {took:?}");
        assert!(took < Duration::from_secs(1), "it took {took:?}");
    });
}

#[test]
fn interfaces_are_described_and_unknown_ones_named() {
    between_namespaces(async |net, here, _| {
        assert_eq!(here.kind.as_deref(), Some("veth"));
        assert_eq!(here.driver.as_deref(), Some("veth"));
        assert_eq!((here.mtu, here.up, here.discovers, here.parent.as_deref()), (1500, true, true, None));
        assert_eq!(net.interface("lo").await.unwrap().mac, None);
        let error = net.interface("nlb-none").await.unwrap_err().to_string();
        assert!(error.contains("nlb-none") && error.contains(HERE) && error.contains("lo"), "{error}");

        run_ip(&format!("link add link {HERE} name nlb-mac type macvlan"));
        run_ip("link add nlb-br type bridge");
        run_ip("link set nlb-mac master nlb-br");
        let stacked = net.interface("nlb-mac").await.unwrap();
        assert_eq!(
            (stacked.kind.as_deref(), stacked.parent.as_deref(), stacked.controller.as_deref()),
            (Some("macvlan"), Some(HERE), Some("nlb-br"))
        );
    });
}

#[test]
fn preflight_reads_the_settings_of_its_namespace() {
    between_namespaces(async |_, here, _| {
        let setting = |path: &str, value: &str| std::fs::write(format!("/proc/sys/net/{path}"), value).unwrap();
        setting("ipv4/ip_forward", "0");
        setting(&format!("ipv4/conf/{HERE}/rp_filter"), "1");
        let all = |interface: &Interface| {
            let found = preflight(std::slice::from_ref(interface));
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let before = all(here);
        for word in ["net.ipv4.ip_forward=1", "nlb-here.rp_filter=2", "nlb-here.accept_local=1", "tx off"] {
            assert!(before.contains(word), "{word} is not in\n{before}");
        }
        setting("ipv4/ip_forward", "1");
        setting("ipv6/conf/all/forwarding", "1");
        setting(&format!("ipv4/conf/{HERE}/rp_filter"), "0");
        setting("ipv4/conf/all/rp_filter", "0");
        setting(&format!("ipv4/conf/{HERE}/accept_local"), "1");
        let after = preflight(std::slice::from_ref(here));
        assert_eq!(after.len(), 1, "only that it is a veth: {after:?}");
        nlb_user::net::privileges().expect("root has them");
    });
}
