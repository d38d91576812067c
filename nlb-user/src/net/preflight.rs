//! What about this machine will hinder the balancer, said before it does.

use std::fs;

use super::{
    Interface,
    ethtool::{self, Queues},
};

/// Oldest kernel that has everything the XDP program uses.
const OLDEST_KERNEL: (u32, u32) = (6, 1);

/// Largest MTU whose frames fit one page next to what XDP puts there: 4096 bytes less headroom (256),
/// `skb_shared_info` (320), Ethernet header (14) and two VLAN tags (8).
const ONE_BUFFER_MTU: u32 = 3498;

/// Kinds of interfaces that have native XDP; devices of a driver have no kind.
const NATIVE_KINDS: [&str; 4] = ["veth", "bond", "tun", "netdevsim"];

/// Capabilities and their numbers (linux/capability.h).
const NEEDED: [(u32, &str); 4] = [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW"), (38, "CAP_PERFMON"), (39, "CAP_BPF")];
/// `CAP_SYS_ADMIN`, which includes those from 38 on: they were split from it.
const SYS_ADMIN: u32 = 21;

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// It works, but not as well as it could, or not in every case.
    Warning,
    /// It will not work.
    Error,
}

/// Something about this machine that hinders the balancer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what to do, as a sentence.
    pub text: String,
}

impl Finding {
    fn warning(text: String) -> Self {
        Self { severity: Severity::Warning, text }
    }

    fn error(text: String) -> Self {
        Self { severity: Severity::Error, text }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// Looks at the kernel, its settings and the interfaces, in the calling thread's network namespace. Changes nothing.
pub fn preflight(interfaces: &[Interface]) -> Vec<Finding> {
    judge(interfaces, &Machine)
}

/// Whether this process may do what a controller does.
///
/// # Errors
/// The finding that names what is missing.
pub fn privileges() -> Result<(), Finding> {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let missing = missing_capabilities(effective);
    if missing.is_empty() {
        return Ok(());
    }
    Err(Finding::error(format!(
        "the controller needs {}; run it as root, or give these to its service (AmbientCapabilities= in systemd)",
        missing.join(", ")
    )))
}

fn missing_capabilities(effective: u64) -> Vec<&'static str> {
    let has = |bit: u32| effective & (1 << bit) != 0 || (bit >= 38 && effective & (1 << SYS_ADMIN) != 0);
    NEEDED.into_iter().filter(|&(bit, _)| !has(bit)).map(|(_, name)| name).collect()
}

/// Where the facts come from.
trait Facts {
    /// The kernel's release, as `uname -r` says.
    fn release(&self) -> String;
    /// A setting below /proc/sys/net, if the kernel has it.
    fn sysctl(&self, path: &str) -> Option<i64>;
    /// Processors in use.
    fn cpus(&self) -> u32;
    /// Whether the interface merges received packets.
    fn lro(&self, interface: &str) -> bool;
    /// The interface's receive queues.
    fn queues(&self, interface: &str) -> Option<Queues>;
}

/// This machine.
struct Machine;

impl Facts for Machine {
    fn release(&self) -> String {
        nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn sysctl(&self, path: &str) -> Option<i64> {
        fs::read_to_string(format!("/proc/sys/net/{path}")).ok()?.trim().parse().ok()
    }

    fn cpus(&self) -> u32 {
        std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX))
    }

    fn lro(&self, interface: &str) -> bool {
        ethtool::lro(interface) == Some(true)
    }

    fn queues(&self, interface: &str) -> Option<Queues> {
        ethtool::queues(interface)
    }
}

fn judge(interfaces: &[Interface], facts: &dyn Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    kernel(&facts.release(), &mut findings);
    forwarding(facts, &mut findings);
    for interface in interfaces {
        link(interface, &mut findings);
        stack(interface, &mut findings);
        offloads(interface, facts, &mut findings);
        sysctls(&interface.name, facts, &mut findings);
    }
    findings
}

fn kernel(release: &str, findings: &mut Vec<Finding>) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < OLDEST_KERNEL {
        let (major, minor) = OLDEST_KERNEL;
        findings.push(Finding::error(format!(
            "this kernel is Linux {release}, the XDP program needs {major}.{minor} or newer; boot a newer one"
        )));
    }
}

/// The kernel gets packets whose next hop isn't resolved yet, and forwards them if it may.
fn forwarding(facts: &dyn Facts, findings: &mut Vec<Finding>) {
    for (version, path) in [("IPv4", "ipv4/ip_forward"), ("IPv6", "ipv6/conf/all/forwarding")] {
        if facts.sysctl(path) == Some(0) {
            findings.push(Finding::warning(format!(
                "the kernel does not forward {version}, so packets for a target are lost until its next hop is known; \
                 allow it with `{}`",
                set(path, "1")
            )));
        }
    }
}

fn link(interface: &Interface, findings: &mut Vec<Finding>) {
    let name = &interface.name;
    if interface.mac.is_none() {
        findings.push(Finding::error(format!(
            "{name} is not an Ethernet interface, and the balancer forwards Ethernet frames; name another one"
        )));
    }
    if !interface.up {
        findings.push(Finding::warning(format!("{name} is down; bring it up with `ip link set {name} up`")));
    }
    if interface.mtu > ONE_BUFFER_MTU {
        let driver = interface.driver.as_deref().unwrap_or("its driver");
        findings.push(Finding::warning(format!(
            "the MTU of {name} is {}, which takes multi-buffer XDP; if {driver} refuses to attach, lower it with \
             `ip link set {name} mtu {ONE_BUFFER_MTU}`",
            interface.mtu
        )));
    }
}

/// Interfaces made of others.
fn stack(interface: &Interface, findings: &mut Vec<Finding>) {
    let name = &interface.name;
    match interface.kind.as_deref() {
        Some("bond") => findings.push(Finding::warning(format!(
            "{name} is a bond: native XDP needs it in every port's driver, and mode active-backup, balance-rr, \
             balance-xor or 802.3ad without vlan+srcmac hashing; see `ip -d link show {name}`"
        ))),
        Some("veth") => findings.push(Finding::warning(format!(
            "{name} is a veth: its peer must compute checksums itself (`ethtool -K PEER tx off` there), and takes \
             packets from XDP only with GRO on (`ethtool -K PEER gro on`) or an XDP program of its own"
        ))),
        Some(kind) if !NATIVE_KINDS.contains(&kind) => {
            let instead = match &interface.parent {
                Some(parent) => format!("give the balancer {parent} or a port of its own"),
                None => "name the device below it".to_owned(),
            };
            findings.push(Finding::warning(format!(
                "{name} is a {kind} interface, which has no native XDP; {instead}, or run with `--xdp-mode generic`, \
                 which is slower"
            )));
        }
        _ => {}
    }
    if let Some(controller) = &interface.controller {
        findings.push(Finding::warning(format!(
            "{name} is a port of {controller}, whose addresses and neighbours the kernel keeps there; \
             name {controller} instead, or take {name} out of it with `ip link set {name} nomaster`"
        )));
    }
}

fn offloads(interface: &Interface, facts: &dyn Facts, findings: &mut Vec<Finding>) {
    let name = &interface.name;
    if facts.lro(name) {
        findings.push(Finding::warning(format!(
            "{name} merges received packets (large receive offload), which XDP can't take apart; switch it off with \
             `ethtool -K {name} lro off`"
        )));
    }
    // Those of a veth are its maker's choice, and what crosses it is received where it was sent.
    if let Some(queues) = facts.queues(name).filter(|_| interface.kind.is_none()) {
        let wanted = facts.cpus().min(queues.max);
        if queues.now < wanted {
            findings.push(Finding::warning(format!(
                "{name} receives on {} of {} queues for {} processors, so some stay idle; use more with \
                 `ethtool -L {name} combined {wanted}`",
                queues.now,
                queues.max,
                facts.cpus()
            )));
        }
    }
}

/// Settings that make the kernel drop packets it is handed by the XDP program.
fn sysctls(name: &str, facts: &dyn Facts, findings: &mut Vec<Finding>) {
    let both = |setting: &str| {
        let all = facts.sysctl(&format!("ipv4/conf/all/{setting}"));
        let own = facts.sysctl(&format!("ipv4/conf/{name}/{setting}"));
        (all, own)
    };
    // The greater of the two is in force (ip-sysctl, rp_filter).
    let (all, own) = both("rp_filter");
    if all.max(own) == Some(1) {
        let path = format!("ipv4/conf/{name}/rp_filter");
        findings.push(Finding::warning(format!(
            "the kernel drops packets on {name} that it would answer by another interface (strict rp_filter), also \
             those it is handed until a target's next hop is known; loosen it with `{}`",
            set(&path, "2")
        )));
    }
    // Either of the two is enough (ip-sysctl, accept_local).
    let (all, own) = both("accept_local");
    if all.or(own).is_some() && all.max(own) == Some(0) {
        let path = format!("ipv4/conf/{name}/accept_local");
        findings.push(Finding::warning(format!(
            "the kernel drops packets on {name} that come from an address of this node, as those do that it is handed \
             without client IP preservation until a target's next hop is known; allow them with `{}`",
            set(&path, "1")
        )));
    }
}

/// The command for a setting. `sysctl` takes slashes too, as names of VLAN interfaces with a dot need.
fn set(path: &str, value: &str) -> String {
    let key = if path.contains('.') { format!("net/{path}") } else { format!("net.{}", path.replace('/', ".")) };
    format!("sysctl -w {key}={value}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[derive(Default)]
    struct Fake {
        sysctls: HashMap<&'static str, i64>,
        lro: bool,
        queues: Option<Queues>,
    }

    impl Facts for Fake {
        fn release(&self) -> String {
            "6.1.0-13-amd64".to_owned()
        }
        fn sysctl(&self, path: &str) -> Option<i64> {
            self.sysctls.get(path).copied()
        }
        fn cpus(&self) -> u32 {
            8
        }
        fn lro(&self, _: &str) -> bool {
            self.lro
        }
        fn queues(&self, _: &str) -> Option<Queues> {
            self.queues
        }
    }

    fn interface() -> Interface {
        Interface {
            index: 2,
            name: "eth0.7".to_owned(),
            mac: Some([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            up: true,
            discovers: true,
            kind: None,
            driver: None,
            controller: None,
            parent: None,
        }
    }

    fn texts(interface: Interface, facts: &Fake) -> Vec<String> {
        judge(&[interface], facts).into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn a_good_machine_has_no_findings() {
        let sysctls = HashMap::from([
            ("ipv4/ip_forward", 1),
            ("ipv6/conf/all/forwarding", 1),
            ("ipv4/conf/all/rp_filter", 2),
            ("ipv4/conf/eth0.7/rp_filter", 1),
            ("ipv4/conf/all/accept_local", 0),
            ("ipv4/conf/eth0.7/accept_local", 1),
        ]);
        let facts = Fake { sysctls, lro: false, queues: Some(Queues { now: 4, max: 4 }) };
        assert_eq!(texts(interface(), &facts), Vec::<String>::new());
    }

    #[test]
    fn each_setting_is_found_with_its_remedy() {
        let sysctls = HashMap::from([
            ("ipv4/ip_forward", 0),
            ("ipv6/conf/all/forwarding", 0),
            ("ipv4/conf/all/rp_filter", 1),
            ("ipv4/conf/all/accept_local", 0),
            ("ipv4/conf/eth0.7/accept_local", 0),
        ]);
        let facts = Fake { sysctls, lro: true, queues: Some(Queues { now: 1, max: 63 }) };
        let found = texts(interface(), &facts).join("\n");
        for remedy in [
            "`sysctl -w net.ipv4.ip_forward=1`",
            "`sysctl -w net.ipv6.conf.all.forwarding=1`",
            "`sysctl -w net/ipv4/conf/eth0.7/rp_filter=2`",
            "`sysctl -w net/ipv4/conf/eth0.7/accept_local=1`",
            "`ethtool -K eth0.7 lro off`",
            "`ethtool -L eth0.7 combined 8`",
        ] {
            assert!(found.contains(remedy), "{remedy} is not in\n{found}");
        }
    }

    #[test]
    fn each_kind_of_interface_is_found() {
        let facts = Fake::default();
        let kind = |kind: &str| Interface { kind: Some(kind.to_owned()), ..interface() };
        assert!(texts(kind("bond"), &facts)[0].contains("every port"));
        assert!(texts(kind("veth"), &facts)[0].contains("tx off"));
        assert!(texts(kind("bridge"), &facts)[0].contains("generic"));
        let vlan = Interface { parent: Some("eth0".to_owned()), ..kind("vlan") };
        assert!(texts(vlan, &facts)[0].contains("eth0 or"));
        let port = Interface { controller: Some("br0".to_owned()), ..interface() };
        assert!(texts(port, &facts)[0].contains("nomaster"));
        assert!(texts(Interface { mtu: 9000, ..interface() }, &facts)[0].contains("mtu 3498"));
        assert!(texts(Interface { up: false, ..interface() }, &facts)[0].contains("up"));
        assert_eq!(judge(&[Interface { mac: None, ..interface() }], &facts)[0].severity, Severity::Error);
    }

    #[test]
    fn kernels_are_compared_by_number() {
        for (release, good) in
            [("6.1.0-13-amd64", true), ("6.18.44", true), ("10.0", true), ("5.15.0", false), ("", false)]
        {
            let mut findings = Vec::new();
            kernel(release, &mut findings);
            assert_eq!(findings.is_empty(), good, "{release}");
        }
    }

    #[test]
    fn missing_capabilities_are_named() {
        assert!(missing_capabilities(u64::MAX).is_empty());
        assert_eq!(missing_capabilities(0).len(), 4);
        assert_eq!(missing_capabilities(1 << 12 | 1 << 21), ["CAP_NET_RAW"]);
    }
}
