//! The types in the object's type information (BTF) against those that user space compiled.
//!
//! Both come from the same lines, but by different compilers for different machines. And what is pinned by one version
//! is read by the next: a layout that changes without [`LAYOUT_VERSION`] would be read as something it is not.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says so by panicking")]

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use aya_obj::Object;
use nlb_common::{
    Addr, Be16, Be32, Flow, FlowKey,
    flow::Hop,
    hash::Secret,
    layout::{
        DEFAULT_FLOW_ENTRIES, Endpoint, Group, LAYOUT_VERSION, Listener, MAX_DEVICES, MAX_GROUPS, MAX_LISTENERS,
        MAX_ROWS, MAX_TARGETS, MAX_VIPS, Name, Node, PORT_WORDS, Row, Target, Vip, map,
    },
    reason,
};
use nlb_tests::golden::object;

/// A structure: its size, and each member with its offset, both in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Structure {
    size: usize,
    members: Vec<(String, usize)>,
}

/// Reads all structures of BTF data (kernel documentation, "BPF Type Format", section 2).
fn structures(btf: &[u8]) -> BTreeMap<String, Structure> {
    let word = |at: usize| u32::from_ne_bytes(btf[at..at + 4].try_into().unwrap()) as usize;
    let header_len = word(4);
    let (types, types_len, strings) = (header_len + word(8), word(12), header_len + word(16));
    let text = |offset: usize| {
        let bytes = &btf[strings + offset..];
        String::from_utf8_lossy(&bytes[..bytes.iter().position(|byte| *byte == 0).unwrap()]).into_owned()
    };
    let mut found = BTreeMap::new();
    let mut at = types;
    while at < types + types_len {
        let (name, info, size) = (text(word(at)), word(at + 4), word(at + 8));
        let (kind, count) = (info >> 24 & 0x1f, info & 0xffff);
        at += 12;
        if kind == 4 {
            let member = |n: usize| (text(word(at + 12 * n)), (word(at + 12 * n + 8) & 0x00ff_ffff) / 8);
            found.insert(name, Structure { size, members: (0..count).map(member).collect() });
        }
        at += match kind {
            1 | 14 | 17 => 4,              // integer, variable, declaration tag
            3 => 12,                       // array
            4 | 5 | 15 | 19 => 12 * count, // structure, union, section, 64-bit enumeration
            6 | 13 => 8 * count,           // enumeration, function prototype
            _ => 0,
        };
    }
    found
}

fn of_object() -> (Object, BTreeMap<String, Structure>) {
    let object = Object::parse(object()).expect("an object");
    let btf = object.btf.as_ref().expect("type information").to_bytes();
    (object, structures(&btf))
}

macro_rules! same {
    ($found:expr, $type:ident { $($field:ident),+ }) => {
        let expected = Structure {
            size: size_of::<$type>(),
            members: vec![$((stringify!($field).to_owned(), std::mem::offset_of!($type, $field))),+],
        };
        assert_eq!($found.get(stringify!($type)), Some(&expected), "{}", stringify!($type));
    };
}

#[test]
fn structures_are_the_same_on_both_sides() {
    let (_, found) = of_object();
    same!(found, Node { layout, _pad, secret });
    same!(found, Secret { k0, k1 });
    same!(found, Vip { load_balancer, row, _pad });
    same!(found, Endpoint { addr, port, proto, _pad, _tail });
    same!(found, Listener { group, row, idle_s, _pad });
    same!(found, Group { name, flags, slots, fingerprint, _room });
    same!(found, Target { addr, port, state, _pad, generation, group, row, hop, _room });
    same!(
        found,
        Row { packets, bytes, new_flows, client_resets, target_resets, elb_resets, port_allocation_errors, drops }
    );
    same!(found, Hop { ifindex, dst_mac, src_mac });
    same!(found, FlowKey { src, dst, src_port, dst_port, proto, _pad, _tail });
    same!(
        found,
        Flow {
            src,
            dst,
            src_port,
            dst_port,
            l4_delta,
            ip_delta,
            target,
            generation,
            row,
            client_hop,
            idle_s,
            flags,
            phase,
            created,
            stamp,
            packets,
            bytes,
            expected_ack,
            pair_checked,
            end,
            _room
        }
    );
    for (name, size) in [
        ("Addr", size_of::<Addr>()),
        ("Be16", size_of::<Be16>()),
        ("Be32", size_of::<Be32>()),
        ("Name", size_of::<Name>()),
    ] {
        assert_eq!(found.get(name).map(|found| found.size), Some(size), "{name}");
    }
}

/// What a map must be: type (linux/bpf.h), key, value, entries, flags.
const fn maps() -> [(&'static str, [usize; 5]); map::ALL.len()] {
    const HASH: usize = 1;
    const ARRAY: usize = 2;
    const PERCPU_ARRAY: usize = 6;
    const LRU_HASH: usize = 9;
    const ARRAY_OF_MAPS: usize = 12;
    const DEVMAP_HASH: usize = 25;
    const KEY: usize = size_of::<FlowKey>();
    const FLOW: usize = size_of::<Flow>();
    [
        (map::NODE, [ARRAY, 4, size_of::<Node>(), 1, 0]),
        (map::VIPS, [HASH, size_of::<Addr>(), size_of::<Vip>(), MAX_VIPS, 0]),
        (map::LISTENERS, [HASH, size_of::<Endpoint>(), size_of::<Listener>(), MAX_LISTENERS, 0]),
        (map::BACKENDS, [HASH, size_of::<Endpoint>(), 4, MAX_TARGETS, 0]),
        (map::GROUPS, [ARRAY, 4, size_of::<Group>(), MAX_GROUPS, 0]),
        (map::TABLES, [ARRAY_OF_MAPS, 4, 4, MAX_GROUPS, 0]),
        (map::TARGETS, [ARRAY, 4, size_of::<Target>(), MAX_TARGETS, 0]),
        (map::HALF_OPEN, [LRU_HASH, KEY, FLOW, DEFAULT_FLOW_ENTRIES, 0]),
        (map::TCP_FLOWS, [HASH, KEY, FLOW, DEFAULT_FLOW_ENTRIES, 0]),
        (map::UDP_FLOWS, [LRU_HASH, KEY, FLOW, DEFAULT_FLOW_ENTRIES, 0]),
        (map::COUNTERS, [PERCPU_ARRAY, 4, 8, reason::COUNTERS, 0]),
        (map::ROWS, [PERCPU_ARRAY, 4, size_of::<Row>(), MAX_ROWS, 0]),
        (map::DEVICES, [DEVMAP_HASH, 4, 8, MAX_DEVICES, 0]),
        (map::PORTS, [ARRAY, 4, 8, PORT_WORDS, 0]),
    ]
}

#[test]
fn maps_are_what_user_space_takes_them_for() {
    let (object, _) = of_object();
    for (name, expected) in maps() {
        let map = object.maps.get(name).unwrap_or_else(|| panic!("the object has no map {name}"));
        let found = [map.map_type(), map.key_size(), map.value_size(), map.max_entries(), map.map_flags()];
        assert_eq!(found.map(|number| number as usize), expected, "{name}: type, key, value, entries, flags");
        assert!(name.len() < 16, "{name}: the kernel cuts names at 15 bytes");
    }
}

#[test]
fn the_layout_is_that_of_its_version() {
    const TYPES: [&str; 11] =
        ["Node", "Secret", "Vip", "Endpoint", "Listener", "Group", "Target", "Row", "Hop", "FlowKey", "Flow"];
    let (_, found) = of_object();
    let mut text = format!("version {LAYOUT_VERSION}\n");
    for (name, [kind, key, value, _, flags]) in maps() {
        writeln!(text, "map {name}: type {kind}, key {key}, value {value}, flags {flags}").unwrap();
    }
    for name in TYPES {
        writeln!(text, "{name}: {}", found[name].size).unwrap();
        for (member, offset) in &found[name].members {
            writeln!(text, "  {offset:3} {member}").unwrap();
        }
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("layout.txt");
    if std::env::var_os("NLB_ACCEPT_LAYOUT").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let recorded = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        recorded == text,
        "the map layout is not the recorded one. If that is meant: raise LAYOUT_VERSION, unless that version was never \
         released, and run this test with NLB_ACCEPT_LAYOUT=1\n--- recorded\n{recorded}--- found\n{text}"
    );
}
