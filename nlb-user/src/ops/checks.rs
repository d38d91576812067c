//! What several operations check.

use std::ops::RangeInclusive;

use crate::model::Fault;

/// A number that must be in a range.
///
/// # Errors
/// `ValidationError`.
pub fn within(name: &str, value: i64, range: RangeInclusive<i64>) -> Result<i64, Fault> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = range.into_inner();
    Err(Fault::validation(format!("{name} is {value}: allowed are {least} to {most}")))
}
