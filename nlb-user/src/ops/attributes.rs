//! Attributes: settings of a resource as pairs of text. Each kind of resource has a table of those it knows.
//!
//! A resource keeps only what was set; what it is told with is the whole table, with defaults for the rest.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::model::Fault;

/// An attribute that a kind of resource has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// Its name.
    pub key: &'static str,
    /// Which values it can have.
    pub allowed: Allowed,
    /// Its value until another is set.
    pub default: &'static str,
}

/// Which values an attribute can have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Allowed {
    /// One of these words.
    Words(&'static [&'static str]),
    /// A whole number.
    Number(RangeInclusive<u32>),
    /// A whole number, or `off`.
    NumberOrOff(RangeInclusive<u32>),
    /// Text of at most so many characters.
    Text(usize),
}

impl Allowed {
    /// `true` or `false`.
    pub const FLAG: Self = Self::Words(&["true", "false"]);

    /// The value as it is kept: `0080` is `80`.
    fn read(&self, value: &str) -> Option<String> {
        match self {
            Self::Words(words) => words.contains(&value).then(|| value.to_owned()),
            Self::Number(range) => number(range, value),
            Self::NumberOrOff(_) if value == "off" => Some(value.to_owned()),
            Self::NumberOrOff(range) => number(range, value),
            Self::Text(most) => {
                let fits = value.chars().count() <= *most && !value.chars().any(char::is_control);
                fits.then(|| value.to_owned())
            }
        }
    }
}

fn number(range: &RangeInclusive<u32>, value: &str) -> Option<String> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|number| digits && range.contains(number))?;
    Some(number.to_string())
}

impl std::fmt::Display for Allowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Words(words) => f.write_str(&words.join(", ")),
            Self::Number(range) => write!(f, "{} to {}", range.start(), range.end()),
            Self::NumberOrOff(range) => write!(f, "off, {} to {}", range.start(), range.end()),
            Self::Text(most) => write!(f, "up to {most} characters"),
        }
    }
}

/// An attribute as a caller gives it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Given {
    /// Which.
    pub key: Option<String>,
    /// Its value.
    pub value: Option<String>,
}

/// An attribute as a caller is told it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Told {
    /// Which.
    pub key: &'static str,
    /// Its value.
    pub value: String,
}

/// What a caller wants to set, by key, in the form it is kept in. What goes together is for the resource to say.
///
/// # Errors
/// `ValidationError` if there is none, or one is unknown, stands twice, or has a value that it can't have.
pub fn checked(table: &[Attribute], given: Vec<Given>) -> Result<BTreeMap<String, String>, Fault> {
    if given.is_empty() {
        return Err(Fault::validation("Attributes is empty: name at least one attribute and its value"));
    }
    let mut wanted = BTreeMap::new();
    for Given { key, value } in given {
        let key = key.ok_or_else(|| Fault::validation("an attribute has no Key"))?;
        let Some(attribute) = table.iter().find(|attribute| attribute.key == key) else {
            let known: Vec<&str> = table.iter().map(|attribute| attribute.key).collect();
            return Err(Fault::validation(format!("unknown attribute {key}: there are {}", known.join(", "))));
        };
        let value = match (value, &attribute.allowed) {
            (Some(value), _) => value,
            (None, Allowed::Text(_)) => String::new(),
            (None, allowed) => {
                return Err(Fault::validation(format!("the attribute {key} has no Value: allowed are {allowed}")));
            }
        };
        let kept = attribute.allowed.read(&value).ok_or_else(|| {
            Fault::validation(format!("the attribute {key} is `{value}`: allowed are {}", attribute.allowed))
        })?;
        if wanted.insert(key.clone(), kept).is_some() {
            return Err(Fault::validation(format!("the attribute {key} stands twice: name it once")));
        }
    }
    Ok(wanted)
}

/// All attributes of the table with the values in effect.
pub fn effective(table: &[Attribute], set: &BTreeMap<String, String>) -> Vec<Told> {
    let told = |attribute: &Attribute| Told {
        key: attribute.key,
        value: set.get(attribute.key).map_or(attribute.default, String::as_str).to_owned(),
    };
    table.iter().map(told).collect()
}

/// The value in effect of one attribute; empty if the table has none of this key.
pub fn value<'a>(table: &'a [Attribute], set: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    let default = || table.iter().find(|attribute| attribute.key == key).map_or("", |attribute| attribute.default);
    set.get(key).map_or_else(default, String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Code;

    const TABLE: &[Attribute] = &[
        Attribute { key: "flag", allowed: Allowed::FLAG, default: "false" },
        Attribute { key: "number", allowed: Allowed::Number(60..=6000), default: "350" },
        Attribute { key: "off", allowed: Allowed::NumberOrOff(1..=100), default: "off" },
        Attribute { key: "text", allowed: Allowed::Text(3), default: "" },
    ];

    fn set(key: &str, value: &str) -> Result<BTreeMap<String, String>, Fault> {
        checked(TABLE, vec![Given { key: Some(key.into()), value: Some(value.into()) }])
    }

    #[test]
    fn values() {
        let good = [
            ("flag", "true", "true"),
            ("number", "60", "60"),
            ("number", "6000", "6000"),
            ("number", "0060", "60"),
            ("off", "off", "off"),
            ("off", "1", "1"),
            ("off", "100", "100"),
            ("text", "", ""),
            ("text", "äöü", "äöü"),
        ];
        for (key, value, kept) in good {
            assert_eq!(set(key, value).unwrap()[key], kept, "{key} {value}");
        }
        let bad = [
            ("flag", "True"),
            ("flag", ""),
            ("number", "59"),
            ("number", "6001"),
            ("number", "+70"),
            ("number", " 70"),
            ("number", "-70"),
            ("number", "70.0"),
            ("number", "off"),
            ("number", "99999999999999999999"),
            ("off", "0"),
            ("off", "101"),
            ("off", "OFF"),
            ("text", "abcd"),
            ("text", "a\n"),
            ("none", "x"),
        ];
        for (key, value) in bad {
            assert_eq!(set(key, value).unwrap_err().code, Code::ValidationError, "{key} {value}");
        }
        let message = set("number", "59").unwrap_err().message;
        assert_eq!(message, "the attribute number is `59`: allowed are 60 to 6000");
    }

    #[test]
    fn lists() {
        let given =
            |key: Option<&str>, value: Option<&str>| Given { key: key.map(Into::into), value: value.map(Into::into) };
        let code = |given: Vec<Given>| checked(TABLE, given).unwrap_err().code;
        assert_eq!(code(vec![]), Code::ValidationError);
        assert_eq!(code(vec![given(None, Some("true"))]), Code::ValidationError);
        assert_eq!(code(vec![given(Some("flag"), None)]), Code::ValidationError);
        assert_eq!(code(vec![given(Some("flag"), Some("true")); 2]), Code::ValidationError);
        assert_eq!(checked(TABLE, vec![given(Some("text"), None)]).unwrap()["text"], "");
    }

    #[test]
    fn what_is_told() {
        let set = BTreeMap::from([("number".to_owned(), "60".to_owned())]);
        let told: Vec<_> = effective(TABLE, &set).into_iter().map(|told| (told.key, told.value)).collect();
        let expected = [("flag", "false"), ("number", "60"), ("off", "off"), ("text", "")];
        assert_eq!(told, expected.map(|(key, value)| (key, value.to_owned())));
        assert_eq!(value(TABLE, &set, "number"), "60");
        assert_eq!(value(TABLE, &set, "off"), "off");
        assert_eq!(value(TABLE, &set, "none"), "");
    }
}
