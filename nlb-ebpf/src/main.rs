//! The XDP program: a packet's way through the balancer.
//!
//! In packet order: [`packet`] and [`parse`], [`flows`], then for a packet of a known flow [`check`] and [`handshake`],
//! for any other [`classify`], [`select`] and [`source`]; then [`forward`], or [`reset`]; last [`verdict`]. The maps
//! are in [`maps`].
//!
//! Stages return `Result<_, Stop>`. Only [`walk`] knows their order, and only [`verdict`] turns what they return into
//! an XDP action and a count.

#![no_std]
#![no_main]
#![expect(missing_docs, reason = "the macro that makes the entry point writes an item without")]

mod check;
mod classify;
mod flows;
mod forward;
mod handshake;
mod maps;
mod packet;
mod parse;
mod reset;
mod select;
mod source;
mod verdict;

use aya_ebpf::{macros::xdp, programs::XdpContext};

use nlb_common::Reason;

use crate::{
    check::Found,
    packet::Packet,
    verdict::{Sent, Stop},
};

/// The program: one packet, in either direction.
#[xdp(frags)]
pub fn nlb_xdp(ctx: XdpContext) -> u32 {
    let mut packet = Packet::new(ctx.ctx);
    let outcome = walk(&mut packet);
    verdict::conclude(&mut packet, outcome)
}

/// The way of a packet. See "Packet walk" in ARCHITECTURE.md.
#[inline(always)]
fn walk(packet: &mut Packet) -> Result<Sent, Stop> {
    parse::parse(packet)?;
    classify::transport_only(packet)?;
    let found = match flows::find(packet.key()) {
        Some((table, flow)) => check::check(packet, table, flow)?,
        None => Found::Over,
    };
    let (flow, target, reason) = match found {
        Found::Live(table, flow, target) => {
            flows::touch(packet, table, flow);
            (&*flow, target, Reason::ToTarget)
        }
        Found::Over => {
            let listener = classify::listener(packet)?;
            let (flow, target) = select::open(packet, listener)?;
            (flow, target, Reason::NewFlow)
        }
    };
    forward::forward(packet, flow, target, reason)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
