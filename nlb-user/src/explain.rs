//! Which target a connection has or would get, and why: the packet program's walk, told in words.
//!
//! Follows `nlb-ebpf/src/{check,classify,select}.rs` step by step; a change there is a change here.

use std::net::{IpAddr, SocketAddr};

use nlb_common::{
    Addr, Be16, Flow, FlowKey, Reason,
    flow::{self, Hop, flag},
    hash::{self, Secret},
    layout::{Endpoint, Group, Listener, Target, Vip, group_flag, state},
};
use serde::Serialize;

/// How many slots the program tries, where the first one's target can't take the flow (`ATTEMPTS` in its
/// `select.rs`).
const ATTEMPTS: u32 = 4;

/// What the maps hold, as far as the walk asks for it.
pub trait View {
    /// The load balancer's address.
    fn vip(&self, addr: &Addr) -> Option<Vip>;
    /// The listener.
    fn listener(&self, endpoint: &Endpoint) -> Option<Listener>;
    /// A target group's record.
    fn group(&self, index: u32) -> Option<Group>;
    /// A target's record.
    fn target(&self, index: u32) -> Option<Target>;
    /// A group's Maglev table: a target's index for every slot.
    fn table(&self, group: u32) -> Vec<u32>;
    /// A flow's entry.
    fn flow(&self, key: &FlowKey) -> Option<Flow>;
    /// Whether a socket of the host's own has this port.
    fn is_port_in_use(&self, port: u16) -> bool;
    /// The hash's key.
    fn secret(&self) -> Secret;
    /// The clock of flow stamps, in nanoseconds.
    fn now(&self) -> u64;
    /// An interface's name.
    fn interface(&self, index: u32) -> String;
}

/// The packet that is asked about: a SYN or a datagram if there is no flow, any packet if there is one.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    /// Its tuple.
    pub key: FlowKey,
    /// The SYN's sequence number.
    pub seq: Option<u32>,
}

/// A step of the walk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Step {
    /// What was looked at.
    pub what: &'static str,
    /// What was found.
    pub finding: String,
}

/// The answer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Explanation {
    /// The walk, in order; the last step is the verdict.
    pub steps: Vec<Step>,
    /// The target that the packet reaches, if one.
    pub target: Option<SocketAddr>,
}

impl Explanation {
    fn say(&mut self, what: &'static str, finding: impl Into<String>) {
        self.steps.push(Step { what, finding: finding.into() });
    }

    fn end(mut self, reason: Reason) -> Self {
        self.say("verdict", format!("{}: {}", reason.label(), reason.text()));
        self
    }
}

/// Walks.
pub fn explain(view: &impl View, question: Question) -> Explanation {
    let mut answer = Explanation::default();
    let key = &question.key;
    let Some(vip) = view.vip(&key.dst) else {
        answer.say("vip", format!("{} is no address of a load balancer", key.dst));
        return answer.end(Reason::PassNotOurs);
    };
    answer.say("vip", format!("{} is an address of load balancer {}", key.dst, vip.load_balancer.as_str()));
    let listener = view.listener(&endpoint(key));
    let group = listener.and_then(|listener| view.group(listener.group));
    answer.say("listener", told_listener(key, listener, group));
    if let Some(flow) = view.flow(key) {
        match known(view, &mut answer, key, &flow) {
            Known::Goes(target) => return forwarded(view, answer, target, &flow, Reason::ToTarget),
            Known::Ends(reason) => return answer.end(reason),
            Known::Over => {}
        }
    } else {
        answer.say("flow", format!("none: {} opens one", opener(key)));
    }
    let (Some(listener), Some(group)) = (listener, group) else { return answer.end(Reason::DropUnintended) };
    select(view, answer, &question, listener, group)
}

/// What a known flow means for the packet.
enum Known {
    Goes(Target),
    Ends(Reason),
    Over,
}

fn known(view: &impl View, answer: &mut Explanation, key: &FlowKey, flow: &Flow) -> Known {
    let proto = key.proto;
    let pair = view.flow(&flow.pair(proto));
    let quiet_for = [Some(flow.stamp), pair.map(|pair| pair.stamp)]
        .into_iter()
        .flatten()
        .map(|stamp| view.now().saturating_sub(stamp) / flow::SECOND)
        .min()
        .unwrap_or(0);
    let quiet = flow.is_quiet(view.now()) && pair.is_none_or(|pair| pair.is_quiet(view.now()));
    let phase = match flow.phase {
        flow::phase::OPEN => "open",
        flow::phase::OPENING => "half-open",
        flow::phase::CLOSED => "closed by its ends",
        _ => "ended by the balancer",
    };
    let expired = if quiet { ", expired" } else { "" };
    answer.say("flow", format!("found: {phase}, idle for {quiet_for} s of {}{expired}", flow.idle_s));
    let target = view.target(flow.target).filter(|target| target.generation == flow.generation);
    let down = match target.map_or(state::GONE, |target| target.state) {
        state::SERVING | state::DRAINING => None,
        state::UNHEALTHY => Some(Reason::ResetUnhealthy),
        _ => Some(Reason::ResetTargetGone),
    };
    if let Some(target) = target {
        answer.say("target", told_target(flow.target, &target));
    } else {
        answer.say("target", format!("{} is gone", socket(flow.dst, flow.dst_port)));
    }
    if proto == flow::UDP {
        return match (target, down) {
            (Some(target), None) if !quiet && flow.phase == flow::phase::OPEN => Known::Goes(target),
            _ => {
                answer.say("flow", "over: the next datagram opens a new one");
                Known::Over
            }
        };
    }
    // A segment in the middle of the connection; a SYN would open a new one where this is over.
    match (flow::life(flow, nlb_common::tcp::ACK, quiet), target, down) {
        (flow::Life::Live, Some(target), None) => Known::Goes(target),
        (flow::Life::Live, _, down) => Known::Ends(down.unwrap_or(Reason::ResetTargetGone)),
        (flow::Life::Over(reason), ..) => Known::Ends(reason),
        (flow::Life::Reopen, ..) => Known::Over,
    }
}

fn select(view: &impl View, mut answer: Explanation, ask: &Question, listener: Listener, group: Group) -> Explanation {
    let table = view.table(listener.group);
    let tcp = ask.key.proto == flow::TCP;
    let no_target = if tcp { Reason::ResetNoTarget } else { Reason::DropNoTarget };
    let Ok(slots @ 1..) = u32::try_from(table.len()) else {
        answer.say("table", format!("target group {} has no target for new flows", group.name.as_str()));
        return answer.end(no_target);
    };
    let seq = match (tcp, ask.seq) {
        (true, None) => return undecided(view, answer, &table),
        (true, Some(seq)) => seq,
        (false, _) => 0,
    };
    let hash = hash::flow(view.secret(), &ask.key, seq);
    let of = if tcp { format!("the tuple and sequence number {seq}") } else { "the tuple".to_owned() };
    answer.say("hash", format!("{hash:#018x}, SipHash-1-3 of {of}"));
    let preserve = group.flags & group_flag::PRESERVE_CLIENT_IP != 0;
    let mut chosen = None;
    for attempt in 0..ATTEMPTS {
        let slot = hash::slot(hash, slots, attempt);
        answer.say("slot", format!("{slot} of {slots}"));
        let index = table[slot as usize];
        let Some(target) = view.target(index) else { continue };
        answer.say("target", told_target(index, &target));
        if target.state != state::SERVING {
            continue;
        }
        let hairpin = target.addr == ask.key.src;
        if preserve && !hairpin && is_taken(view, &FlowKey { dst: target.addr, dst_port: target.port, ..ask.key }) {
            answer.say("tuple", "this target already has the client's tuple from another flow: next slot");
            chosen = chosen.or(Some((target, false)));
            continue;
        }
        if preserve && hairpin {
            answer.say("hairpin", "the client is the target itself: its address is translated");
        }
        chosen = Some((target, preserve && !hairpin));
        break;
    }
    let Some((target, own)) = chosen else { return answer.end(no_target) };
    let key = &ask.key;
    let to = FlowKey { dst: target.addr, dst_port: target.port, ..*key };
    let rewritten = match own {
        true => Flow::rewriting(key, &to),
        false => {
            let port = (0..).map(|probe| hash::source_port(hash, probe)).map(Be16::new).take(64).find(|port| {
                let to = FlowKey { src: key.dst, src_port: *port, ..to };
                !view.is_port_in_use(port.get()) && !is_taken(view, &to)
            });
            let Some(port) = port else { return answer.end(Reason::DropPortAllocation) };
            let mut flow = Flow::rewriting(key, &FlowKey { src: key.dst, src_port: port, ..to });
            flow.flags = flag::SNAT;
            flow
        }
    };
    forwarded(view, answer, target, &rewritten, Reason::NewFlow)
}

/// Without the sequence number only the shares can be told.
fn undecided(view: &impl View, mut answer: Explanation, table: &[u32]) -> Explanation {
    answer.say("hash", "depends on the SYN's sequence number, which --seq gives");
    let mut shares = std::collections::BTreeMap::<u32, usize>::new();
    table.iter().for_each(|index| *shares.entry(*index).or_default() += 1);
    for (index, slots) in shares {
        if let Some(target) = view.target(index) {
            let share = 100.0 * slots as f64 / table.len() as f64;
            let told = told_target(index, &target);
            answer.say("target", format!("{told}: {slots} of {} slots ({share:.1} %)", table.len()));
        }
    }
    answer.say("verdict", "a SYN is forwarded to one of these targets");
    answer
}

fn forwarded(view: &impl View, mut answer: Explanation, target: Target, flow: &Flow, reason: Reason) -> Explanation {
    let mode = match flow.is(flag::SNAT) {
        true => "source translated",
        false => "client address preserved",
    };
    let (src, dst) = (socket(flow.src, flow.src_port), socket(flow.dst, flow.dst_port));
    answer.say("rewrite", format!("{src} -> {dst} ({mode})"));
    answer.target = Some(dst);
    answer.say("next hop", told_hop(view, &target.hop));
    if target.hop.ifindex == 0 {
        return answer.end(Reason::Unresolved);
    }
    answer.end(reason)
}

/// Whether the answers to packets with this tuple are those of a flow that goes on.
fn is_taken(view: &impl View, to: &FlowKey) -> bool {
    view.flow(&to.reversed()).is_some_and(|flow| !flow.is_quiet(view.now()))
}

fn told_listener(key: &FlowKey, listener: Option<Listener>, group: Option<Group>) -> String {
    let name = format!("{}:{}", protocol(key.proto), key.dst_port.get());
    match (listener, group) {
        (Some(listener), Some(group)) => {
            format!("{name} -> target group {}, idle timeout {} s", group.name.as_str(), listener.idle_s)
        }
        _ => format!("none on {name}"),
    }
}

fn told_target(index: u32, target: &Target) -> String {
    let (addr, state) = (socket(target.addr, target.port), state_name(target.state));
    format!("{addr} (record {index}, generation {}), {state}", target.generation)
}

fn told_hop(view: &impl View, hop: &Hop) -> String {
    if hop.ifindex == 0 {
        return "not resolved: the kernel is asked".to_owned();
    }
    let (to, from) = (crate::cli::output::mac(hop.dst_mac), crate::cli::output::mac(hop.src_mac));
    format!("{} on {}, from {from}", to, view.interface(hop.ifindex))
}

fn opener(key: &FlowKey) -> &'static str {
    if key.proto == flow::TCP { "a SYN" } else { "a datagram" }
}

const fn endpoint(key: &FlowKey) -> Endpoint {
    Endpoint::new(key.dst, key.dst_port, key.proto)
}

/// An address and port of the maps, for people.
pub fn socket(addr: Addr, port: Be16) -> SocketAddr {
    SocketAddr::new(IpAddr::from(addr), port.get())
}

/// A protocol number of the maps, for people.
pub const fn protocol(number: u8) -> &'static str {
    match number {
        flow::TCP => "TCP",
        flow::UDP => "UDP",
        _ => "?",
    }
}

/// A target's state, for people and programs.
pub const fn state_name(number: u8) -> &'static str {
    match number {
        state::SERVING => "serving",
        state::DRAINING => "draining",
        state::UNHEALTHY => "unhealthy",
        _ => "gone",
    }
}

#[cfg(test)]
mod tests;
