//! probe
#![no_std]
#![no_main]
use aya_ebpf::{
    bindings::xdp_action,
    btf_maps::{Array, ArrayOfMaps, HashMap},
    macros::{btf_map, xdp},
    programs::XdpContext,
};
use nlb_common::{layout::*, *};

#[btf_map]
static TABLES: ArrayOfMaps<Array<u32, 1, 0x1000>, MAX_GROUPS> = ArrayOfMaps::new();
#[btf_map]
static TCP_FLOWS: HashMap<FlowKey, Flow, 1024> = HashMap::new();

#[xdp(frags)]
pub fn nlb_xdp(ctx: XdpContext) -> u32 {
    let (data, end) = (ctx.data(), ctx.data_end());
    if data + 34 > end {
        return xdp_action::XDP_PASS;
    }
    // SAFETY: x
    let ip = unsafe { &mut *((data + 14) as *mut network_types::ip::Ipv4Hdr) };
    let key = FlowKey { src: Addr::v4(ip.src_addr), ..Default::default() };
    if let Some(f) = TCP_FLOWS.get_ptr_mut(&key) {
        // SAFETY: x
        rewrite::ipv4(ip, unsafe { &*f });
        return xdp_action::XDP_TX;
    }
    if let Some(x) = TABLES.get_value(3, &0) {
        if *x == 3 {
            return xdp_action::XDP_DROP;
        }
    }
    xdp_action::XDP_PASS
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
