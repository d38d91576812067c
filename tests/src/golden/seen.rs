//! What came of a packet, against what was to come of it.

use std::{collections::BTreeMap, path::PathBuf};

use nlb_common::{Event, Reason, layout::Row};

use super::{Action, Side};

/// What came of a packet.
#[derive(Clone, Debug)]
pub struct Seen {
    pub(super) from: Side,
    pub(super) sent: Vec<u8>,
    /// What XDP was told.
    pub action: Action,
    /// The frame afterwards.
    pub packet: Vec<u8>,
    /// Counters that changed, by number.
    pub counters: BTreeMap<u8, u64>,
    /// Rows that changed.
    pub rows: BTreeMap<u32, Row>,
}

/// What is to come of a packet.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// What XDP is told.
    pub action: Action,
    /// The frame afterwards.
    pub packet: Vec<u8>,
    /// Why.
    pub reason: Reason,
    /// What happened on the way, each once.
    pub events: &'a [Event],
    /// Rows that change.
    pub rows: &'a [(u32, Row)],
}

impl Seen {
    /// Why the packet ended so.
    pub fn reason(&self) -> Option<Reason> {
        Reason::ALL.iter().copied().find(|reason| self.counters.contains_key(&reason.number()))
    }

    /// Compares everything. A difference is shown, and written as a capture to `target/golden-failures`.
    #[track_caller]
    pub fn check(&self, name: &str, expected: &Expected<'_>) {
        let mut counters: BTreeMap<u8, u64> = [(expected.reason.number(), 1)].into();
        for event in expected.events {
            *counters.entry(event.number()).or_default() += 1;
        }
        let rows: BTreeMap<u32, Row> = expected.rows.iter().copied().collect();
        let same = self.action == expected.action
            && self.packet == expected.packet
            && self.counters == counters
            && self.rows == rows;
        if same {
            return;
        }
        let file = self.write_capture(name, &expected.packet);
        panic!(
            "{name}\nexpected {:?} {:?} {:?}\nrows {rows:?}\npacket {}\nseen     {}\ncapture: {file}",
            expected.action,
            expected.reason,
            expected.events,
            hex(&expected.packet),
            self.describe(),
        );
    }

    /// As text.
    pub fn describe(&self) -> String {
        let label = |number: &u8| {
            let reason = Reason::ALL.iter().find(|reason| reason.number() == *number).map(|reason| reason.label());
            let event = Event::ALL.iter().find(|event| event.number() == *number).map(|event| event.label());
            reason.or(event).unwrap_or("?")
        };
        let counters: Vec<_> = self.counters.iter().map(|(number, count)| (label(number), count)).collect();
        format!("{:?} {counters:?}\nrows {:?}\npacket {}", self.action, self.rows, hex(&self.packet))
    }

    /// Three frames: what was sent, what came out, what was expected.
    fn write_capture(&self, name: &str, expected: &[u8]) -> String {
        let file: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let path = target_dir().join("golden-failures").join(format!("{file}-{:?}.pcap", self.from));
        // A classic capture file: microseconds, version 2.4, Ethernet.
        let mut bytes: Vec<u8> = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 1].map(u32::to_ne_bytes).concat();
        for (second, frame) in (0_u32..).zip([&self.sent[..], &self.packet, expected]) {
            let len = frame.len() as u32;
            bytes.extend([second, 0, len, len].map(u32::to_ne_bytes).concat());
            bytes.extend_from_slice(frame);
        }
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(&path, bytes));
        written.map_or_else(|error| format!("not written: {error}"), |()| path.display().to_string())
    }
}

/// Cargo's target directory, found from the running executable.
fn target_dir() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.ancestors().find(|dir| dir.ends_with("target")).map_or_else(std::env::temp_dir, PathBuf::from)
}

fn hex(bytes: &[u8]) -> String {
    bytes.chunks(16).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + " ").collect()
}
