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

/// The refusal of a word that is none of those allowed.
pub fn not_one_of(name: &str, value: &str, allowed: &[&str]) -> Fault {
    Fault::validation(format!("{name} is `{value}`: allowed are {}", allowed.join(", ")))
}

/// Refuses a list of more members than allowed.
///
/// # Errors
/// `ValidationError`.
pub fn at_most(name: &str, count: usize, most: usize) -> Result<(), Fault> {
    if count <= most {
        return Ok(());
    }
    Err(Fault::validation(format!("{name} has {count} members: at most {most} are allowed")))
}

/// Refuses text of more characters than allowed.
///
/// # Errors
/// `ValidationError`.
pub fn at_most_characters(name: &str, text: &str, most: usize) -> Result<(), Fault> {
    match text.chars().count() {
        count if count > most => {
            Err(Fault::validation(format!("{name} has {count} characters: at most {most} are allowed")))
        }
        _ => Ok(()),
    }
}
