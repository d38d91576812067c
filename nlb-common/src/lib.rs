//! What the packet program and its controller share.
//!
//! Everything here is pure: no map, no packet pointer, no system call. The program (`nlb-ebpf`) and the controller
//! (`nlb-user`) compile the same lines, and the host tests run them.
//!
//! Read in this order: how bytes are held ([`be`], [`addr`]), what the maps hold ([`layout`], [`flow`]), what may
//! happen to a packet ([`reason`]), and the arithmetic ([`checksum`], [`hash`], [`rewrite`], [`tcp`], `maglev`).

#![cfg_attr(not(any(test, feature = "user")), no_std)]

/// Marks a map type as plain old data for both sides: no padding the compiler invented, any bit pattern valid.
macro_rules! plain {
    ($($name:ident: $size:literal),+ $(,)?) => {$(
        // SAFETY: `repr(C)`, made of plain integers and arrays, and the assertion below (with the explicit padding
        // fields) leaves no byte undefined; every bit pattern is a value.
        unsafe impl bytemuck::Zeroable for $name {}
        // SAFETY: as above.
        unsafe impl bytemuck::Pod for $name {}
        #[cfg(feature = "user")]
        // SAFETY: as above.
        unsafe impl aya::Pod for $name {}
        const _: () = assert!(size_of::<$name>() == $size, "the layout of a shared type changed");
    )+};
}

pub mod addr;
pub mod be;
pub mod checksum;
pub mod flow;
pub mod hash;
pub mod layout;
#[cfg(feature = "user")]
pub mod maglev;
pub mod reason;
pub mod rewrite;
pub mod tcp;

pub use addr::Addr;
pub use be::{Be16, Be32};
pub use flow::{Flow, FlowKey};
pub use reason::{Event, Reason};
