//! What XDP programs an interface has: asked over rtnetlink, as the kernel's bpf(2) does not tell.

use std::io;

use rtnetlink::{
    packet_core::{ErrorMessage, NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload},
    packet_route::{
        RouteNetlinkMessage,
        link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached},
    },
    sys::{Socket, protocols::NETLINK_ROUTE},
};

use super::XdpMode;

/// `XDP_FLAGS_UPDATE_IF_NOEXIST`.
const IF_NOEXIST: u32 = 1;
/// `NLMSGERR_ATTR_MSG`.
const ATTR_MSG: u16 = 1;

/// An XDP program of an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AttachedProgram {
    /// Its id.
    pub id: u32,
    /// Its mode; `None` is offload to hardware.
    pub mode: Option<XdpMode>,
}

/// The XDP programs of the interface with this index in the calling thread's network namespace.
///
/// # Errors
/// `ENODEV` if there is no such interface.
pub fn programs(ifindex: u32) -> io::Result<Vec<AttachedProgram>> {
    let mut link = LinkMessage::default();
    link.header.index = ifindex;
    let answer = ask(RouteNetlinkMessage::GetLink(link), NLM_F_REQUEST)?;
    let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) = answer else {
        return Err(refusal(answer).map_or_else(|| io::Error::other("an answer that is none"), |refused| refused.code));
    };
    let of = |attribute: &LinkAttribute| match attribute {
        LinkAttribute::Xdp(xdp) => Some(xdp.clone()),
        _ => None,
    };
    let xdp: Vec<LinkXdp> = link.attributes.iter().filter_map(of).flatten().collect();
    let offload = xdp.contains(&LinkXdp::Attached(XdpAttached::Hardware));
    let program = |xdp: &LinkXdp| match *xdp {
        LinkXdp::DrvProgId(id) => Some(AttachedProgram { id, mode: Some(XdpMode::Native) }),
        LinkXdp::SkbProgId(id) => Some(AttachedProgram { id, mode: Some(XdpMode::Generic) }),
        LinkXdp::HwProgId(id) if offload => Some(AttachedProgram { id, mode: None }),
        _ => None,
    };
    Ok(xdp.iter().filter_map(program).filter(|program| program.id != 0).collect())
}

/// What the driver says against a program that bpf(2) would not attach: only rtnetlink passes its words on. Should it
/// not be against it after all, the program is detached again.
pub fn objection(ifindex: u32, program: i32, mode: u32) -> Option<String> {
    let set = |program| {
        let mut link = LinkMessage::default();
        link.header.index = ifindex;
        link.attributes = vec![LinkAttribute::Xdp(vec![LinkXdp::Fd(program), LinkXdp::Flags(mode | IF_NOEXIST)])];
        ask(RouteNetlinkMessage::SetLink(link), NLM_F_REQUEST | NLM_F_ACK)
    };
    match refusal(set(program).ok()?) {
        Some(refused) => refused.words,
        None => {
            let _best_effort = set(-1);
            None
        }
    }
}

struct Refusal {
    code: io::Error,
    words: Option<String>,
}

fn refusal(answer: NetlinkPayload<RouteNetlinkMessage>) -> Option<Refusal> {
    let NetlinkPayload::Error(error) = answer else { return None };
    let code = error.code?.get();
    Some(Refusal { code: io::Error::from_raw_os_error(-code), words: words(&error) })
}

/// The extended acknowledgement's message (include/uapi/linux/netlink.h): attributes behind the request's header.
fn words(error: &ErrorMessage) -> Option<String> {
    let mut rest = error.header.get(16..)?;
    while let [len0, len1, kind0, kind1, ..] = *rest {
        let len = usize::from(u16::from_ne_bytes([len0, len1]));
        if u16::from_ne_bytes([kind0, kind1]) == ATTR_MSG {
            let text = rest.get(4..len)?.split(|byte| *byte == 0).next()?;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        rest = rest.get(len.max(4).next_multiple_of(4)..)?;
    }
    None
}

/// Sends one request and returns the first message of the answer.
fn ask(request: RouteNetlinkMessage, flags: u16) -> io::Result<NetlinkPayload<RouteNetlinkMessage>> {
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.set_ext_ack(true)?;
    // Only the request's header comes back with an error, so that what follows it is at a known place.
    socket.set_cap_ack(true)?;
    let mut message = NetlinkMessage::from(request);
    message.header.flags = flags;
    message.finalize();
    let mut buffer = vec![0; message.buffer_len()];
    message.serialize(&mut buffer);
    socket.send(&buffer, 0)?;
    let (answer, _) = socket.recv_from_full()?;
    NetlinkMessage::deserialize(&answer).map(|message| message.payload).map_err(io::Error::other)
}
