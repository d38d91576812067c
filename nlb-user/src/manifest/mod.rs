//! The declarative file (lb.json, lb.yaml): the whole desired state as text.
//!
//! [`read`] finds what is wrong with a file by itself, [`apply`] what is wrong with it on this node; both find all of it,
//! and say where each stands. The rules are those of [`crate::ops`]. What the file does not name is removed; what exists
//! by name stays who it is. [`export`] is the way back: applying what it gives changes nothing.
//!
//! Read in this order: how a file is had (`file`, `problem`), its values as a tree (`tree`, `json`, `yaml`), what they say
//! (`shape`, `parse` and its sisters), what becomes of it (`apply` and its sisters), the way back (`export`, `write`), and
//! differences for people (`diff`).

mod address;
mod apply;
mod apply_balancers;
mod apply_listeners;
mod diff;
mod export;
mod file;
mod json;
mod parse;
mod parse_balancer;
mod parse_group;
mod parse_listener;
mod problem;
mod shape;
mod terms;
pub(crate) mod tree;
mod write;
mod yaml;

pub use apply::apply;
pub use diff::{Change, ChangeKind, changes};
pub use export::export;
pub use file::{MAX_BYTES, ReadError, read_text};
pub use parse::read;
pub use problem::{Invalid, Problem};
pub use shape::Document;
pub use write::{to_json, to_yaml};

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
