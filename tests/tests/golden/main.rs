//! Golden packets: what goes in, what comes out, byte for byte, with every counter that changes.
//!
//! In the order of the program's stages.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says so by panicking")]

mod classify;
mod handshake;
mod resets;
mod rewrite;
mod scene;
mod select;

use nlb_common::{Event, Reason};

/// A reason without a golden packet would be one whose meaning nobody has written down.
#[test]
fn every_reason_and_every_event_has_a_case() {
    let sources = [
        include_str!("classify.rs"),
        include_str!("handshake.rs"),
        include_str!("resets.rs"),
        include_str!("rewrite.rs"),
        include_str!("select.rs"),
    ]
    .concat();
    let reasons = Reason::ALL.iter().map(|reason| format!("Reason::{reason:?}"));
    let missing: Vec<_> = reasons
        .chain(Event::ALL.iter().map(|event| format!("Event::{event:?}")))
        .filter(|name| !sources.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "no golden packet for {missing:?}");
}
