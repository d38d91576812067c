//! The declarative file (lb.json, lb.yaml): the whole desired state as text.

mod address;
mod diff;
mod file;
mod json;
mod problem;
pub(crate) mod tree;
mod write;
mod yaml;

pub use diff::{Change, ChangeKind, changes};
pub use file::{MAX_BYTES, ReadError, read_text};
pub use problem::{Invalid, Problem};
pub use write::{to_json, to_yaml};
