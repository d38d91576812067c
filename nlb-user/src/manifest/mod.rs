//! The declarative file (lb.json, lb.yaml): the whole desired state as text.

mod file;
mod json;
mod problem;
pub(crate) mod tree;
mod yaml;

pub use file::{MAX_BYTES, ReadError, read_text};
pub use problem::{Invalid, Problem};
