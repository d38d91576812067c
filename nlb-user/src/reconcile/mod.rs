//! From the desired state and the maps as they are to the steps between them.
//!
//! [`plan()`] is pure and looks at everything every time, so a lost update heals itself; [`apply`] writes the steps in
//! their order through [`Maps`]. What is named exists first: after every single step the data plane has a whole
//! configuration, and a controller that dies between two steps leaves nothing that its successor can't finish.

mod addresses;
mod groups;
mod plan;
mod slots;
mod steps;
mod targets;

#[cfg(test)]
pub mod fake;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

pub use plan::{Inputs, PlanError, plan};
pub use steps::{Actual, Maps, MapsError, Step, apply};
