//! The declarative file (lb.json, lb.yaml): the whole desired state as text.

mod address;
mod apply;
mod apply_balancers;
mod apply_listeners;
mod diff;
mod export;
mod file;
mod json;
mod parse;
mod parse_group;
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
