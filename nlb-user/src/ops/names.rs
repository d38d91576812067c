//! Names of load balancers and target groups.

use crate::model::Fault;

/// The most characters of a name.
const MOST: usize = 32;

/// The name of a load balancer (guide, "Create a Network Load Balancer").
///
/// # Errors
/// `ValidationError`.
pub fn load_balancer(name: &str) -> Result<(), Fault> {
    plain("load balancer", name)?;
    if name.starts_with("internal-") {
        return Err(Fault::validation(format!(
            "the load balancer name {name} begins with `internal-`, which is reserved: choose another"
        )));
    }
    Ok(())
}

/// The name of a target group.
///
/// # Errors
/// `ValidationError`.
pub fn target_group(name: &str) -> Result<(), Fault> {
    plain("target group", name)
}

fn plain(what: &str, name: &str) -> Result<(), Fault> {
    let refused = |why: &str| {
        let rule = "1 to 32 letters (a-z, A-Z), digits and hyphens, with no hyphen at either end";
        Err(Fault::validation(format!("the {what} name `{name}` {why}: allowed are {rule}")))
    };
    match name.chars().count() {
        0 => return refused("is empty"),
        count if count > MOST => return refused(&format!("has {count} characters")),
        _ => {}
    }
    if let Some(other) = name.chars().find(|char| !char.is_ascii_alphanumeric() && *char != '-') {
        return refused(&format!("has `{}`", other.escape_default()));
    }
    if name.starts_with('-') || name.ends_with('-') {
        return refused("has a hyphen at its end");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules() {
        let longest = "a".repeat(32);
        for name in ["a", "0", "web", "My-Load-Balancer-2", "a--b", "internal", &longest] {
            assert_eq!(load_balancer(name), Ok(()), "{name}");
            assert_eq!(target_group(name), Ok(()), "{name}");
        }
        let long = "a".repeat(33);
        for name in ["", "-", "-web", "web-", "a.b", "a_b", "a b", " a", "wéb", "web\n", "a/b", &long] {
            assert!(load_balancer(name).is_err(), "{name}");
            assert!(target_group(name).is_err(), "{name}");
        }
        for (name, good) in [("internal-web", false), ("web-internal", true), ("internally", true)] {
            assert_eq!(load_balancer(name).is_ok(), good, "{name}");
            assert_eq!(target_group(name), Ok(()), "{name}");
        }
    }
}
