//! What `nlb status` prints, letter by letter.

use nlb_common::{
    Addr, Be16,
    flow::Hop,
    layout::{Endpoint, Group, Listener, Name, Vip, group_flag, state},
};

use super::*;
use crate::control::{DesiredLoadBalancer, Failed, Overridden};

fn addr(text: &str) -> Addr {
    Addr::from(text.parse::<IpAddr>().unwrap())
}

fn actual() -> Actual {
    let name = Name::new("web").unwrap();
    let vip = Vip { load_balancer: name, ..Vip::default() };
    let endpoint = |vip: &str| Endpoint::new(addr(vip), Be16::new(80), 6);
    let group = |flags| Group { name, flags: flags | group_flag::IN_USE, ..Group::default() };
    let listener = |group| Listener { group, idle_s: 350, ..Listener::default() };
    let target = |host: &str, state, group| Target {
        addr: addr(host),
        port: Be16::new(8080),
        state,
        generation: 1,
        group,
        hop: Hop { ifindex: 1, dst_mac: [2, 0, 0, 0, 0, 9], src_mac: [2, 0, 0, 0, 0, 1] },
        ..Target::default()
    };
    Actual {
        vips: [(addr("198.18.0.10"), vip), (addr("2001:db8::10"), vip)].into(),
        listeners: [(endpoint("198.18.0.10"), listener(0)), (endpoint("2001:db8::10"), listener(1))].into(),
        groups: [(0, group(0)), (1, group(group_flag::IPV6))].into(),
        targets: [
            (0, target("10.0.1.11", state::SERVING, 0)),
            (1, target("10.0.1.12", state::UNHEALTHY, 0)),
            (2, target("fd00::11", state::SERVING, 1)),
            (3, target("10.0.1.13", state::GONE, 0)),
        ]
        .into(),
        ..Actual::default()
    }
}

#[test]
fn with_the_controller_dead_the_maps_speak() {
    let expected = "\
controller  not running; the data plane forwards as it was last told
node        zone , pinned at , map layout 0
flows       0 TCP, 0 half-open, 0 UDP, 0 over

LOAD BALANCER  STATE   ADDRESS       REASON
web            active  198.18.0.10
                       2001:db8::10

LOAD BALANCER  LISTENER  TARGET GROUP  IDLE TIMEOUT
web            TCP:80    web           350 s

TARGET GROUP  TARGET           STATE      NEXT HOP
web           10.0.1.11:8080   serving    02:00:00:00:00:09 on lo
web           10.0.1.12:8080   unhealthy  02:00:00:00:00:09 on lo
web           [fd00::11]:8080  serving    02:00:00:00:00:09 on lo
";
    assert_eq!(Report::new(&actual(), None).text(), expected);
}

#[test]
fn a_living_controller_adds_what_is_wrong() {
    let failed = Failed {
        load_balancer: "dns".into(),
        address: "198.18.0.20".parse().unwrap(),
        reason: "198.18.0.20 is in use by 02:00:00:00:00:01".into(),
    };
    let desired = Desired {
        pid: 4711,
        version: "0.1.0".into(),
        uptime_s: 65,
        revision: 3,
        load_balancers: vec![DesiredLoadBalancer {
            name: "dns".into(),
            addresses: vec![failed.address],
            state: "failed".into(),
            reason: Some(failed.reason.clone()),
        }],
        target_groups: vec!["empty".into()],
        overrides: vec![Overridden {
            group: "web".into(),
            target: "10.0.1.12:8080".parse().unwrap(),
            state: Health::Unhealthy,
        }],
        failed: vec![failed],
        warnings: vec!["target group `empty` gets no traffic".into()],
        ..Desired::default()
    };
    let text = Report::new(&actual(), Some(&desired)).text();
    for line in [
        "controller  running, pid 4711, version 0.1.0, up 1m05s, revision 3",
        "dns            failed  198.18.0.20   198.18.0.20 is in use by 02:00:00:00:00:01",
        "web           10.0.1.12:8080   unhealthy (override)  02:00:00:00:00:09 on lo",
        "empty         (none)",
        "warning: target group `empty` gets no traffic",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nis not in\n{text}");
    }
    assert!(text.lines().all(|line| line.len() <= 100));
}
