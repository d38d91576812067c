//! Tags: pairs of text that users give resources to tell them apart.

use std::collections::{BTreeMap, btree_map::Entry};

use serde::{Deserialize, Serialize};

use crate::model::{Code, Fault, Quotas};

/// The most characters of a key.
const KEY: usize = 127;
/// The most characters of a value.
const VALUE: usize = 255;

/// A tag as a caller gives it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Tag {
    /// What it tells about the resource.
    pub key: Option<String>,
    /// What it says; nothing is as good as empty.
    pub value: Option<String>,
}

/// A tag as a caller is told it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Told {
    /// What it tells about the resource.
    pub key: String,
    /// What it says.
    pub value: String,
}

/// The tags that a caller gives a resource, by key.
///
/// # Errors
/// `ValidationError` if the list is there and empty, or a key or value breaks the rules of the guide ("Tags for your
/// Network Load Balancer"); `DuplicateTagKeys`; `TooManyTags`.
pub fn checked(tags: Option<Vec<Tag>>) -> Result<BTreeMap<String, String>, Fault> {
    let Some(tags) = tags else { return Ok(BTreeMap::new()) };
    if tags.is_empty() {
        return Err(Fault::validation("Tags is empty: name at least one tag, or leave it out"));
    }
    let mut checked = BTreeMap::new();
    for Tag { key, value } in tags {
        let key = key.ok_or_else(|| Fault::validation("a tag has no Key"))?;
        let value = value.unwrap_or_default();
        check_key(&key)?;
        text("value", &value, VALUE)?;
        match checked.entry(key) {
            Entry::Vacant(entry) => entry.insert(value),
            Entry::Occupied(entry) => {
                let key = entry.key();
                return Err(Fault::new(
                    Code::DuplicateTagKeys,
                    format!("the tag key `{key}` stands twice: name it once, keys are case-sensitive"),
                ));
            }
        };
    }
    within_quota(&checked)?;
    Ok(checked)
}

/// A key by itself, as `RemoveTags` names it.
///
/// # Errors
/// `ValidationError`.
pub fn check_key(key: &str) -> Result<(), Fault> {
    if key.is_empty() {
        return Err(Fault::validation("a tag key is empty: allowed are 1 to 127 characters"));
    }
    text("key", key, KEY)
}

/// How many tags a resource may have.
fn within_quota(tags: &BTreeMap<String, String>) -> Result<(), Fault> {
    let most = Quotas::TAGS_PER_RESOURCE;
    match tags.len() {
        count if count > most => {
            let sentence = format!("{count} tags on a resource: at most {most} are allowed, remove some first");
            Err(Fault::new(Code::TooManyTags, sentence))
        }
        _ => Ok(()),
    }
}

fn text(what: &str, text: &str, most: usize) -> Result<(), Fault> {
    let refused = |why: String| Err(Fault::validation(format!("the tag {what} `{}` {why}", text.escape_debug())));
    let count = text.chars().count();
    if count > most {
        return refused(format!("has {count} characters: allowed are up to {most}"));
    }
    if let Some(other) = text.chars().find(|char| !allowed(*char)) {
        let other = other.escape_debug();
        return refused(format!("has `{other}`: allowed are letters, numbers, spaces and + - = . _ : / @"));
    }
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return refused("begins or ends with a space: remove it".to_owned());
    }
    if text.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:")) {
        return refused("begins with `aws:`, which is reserved: choose another".to_owned());
    }
    Ok(())
}

/// Letters, numbers and spaces of any script, and a few signs.
fn allowed(char: char) -> bool {
    char.is_alphanumeric() || (char.is_whitespace() && !char.is_control()) || "+-=._:/@".contains(char)
}

/// Tags as a caller is told them.
pub fn told(tags: &BTreeMap<String, String>) -> Vec<Told> {
    tags.iter().map(|(key, value)| Told { key: key.clone(), value: value.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(key: &str, value: &str) -> Result<BTreeMap<String, String>, Fault> {
        checked(Some(vec![Tag { key: Some(key.into()), value: Some(value.into()) }]))
    }

    /// Lengths are counted in characters, not in bytes.
    #[test]
    fn lengths() {
        for letter in ["a", "é", "語", "𐐷"] {
            assert!(one(&letter.repeat(127), "").is_ok(), "{letter}");
            assert_eq!(one(&letter.repeat(128), "").unwrap_err().code, Code::ValidationError, "{letter}");
            assert!(one("key", &letter.repeat(255)).is_ok(), "{letter}");
            assert_eq!(one("key", &letter.repeat(256)).unwrap_err().code, Code::ValidationError, "{letter}");
        }
        assert_eq!(one("", "value").unwrap_err().code, Code::ValidationError);
    }

    #[test]
    fn characters() {
        for text in ["a b", "+-=._:/@", "Straße", "продукция", "環境", "٣", "½", "a\u{a0}b", "x:aws:"] {
            assert!(one(text, text).is_ok(), "{text}");
        }
        for text in
            ["a\tb", "a\n", "a,b", "a;b", "a#b", "a*b", "a&b", "🦀", "a\u{301}", "\0", " a", "a ", " ", "\u{3000}a"]
        {
            assert_eq!(one(text, "").unwrap_err().code, Code::ValidationError, "{text:?}");
            assert_eq!(one("key", text).unwrap_err().code, Code::ValidationError, "{text:?}");
        }
        for text in ["aws:", "aws:name", "AWS:name", "Aws:name"] {
            assert_eq!(one(text, "").unwrap_err().code, Code::ValidationError, "{text}");
            assert_eq!(one("key", text).unwrap_err().code, Code::ValidationError, "{text}");
        }
        assert!(one("aws", "aws").is_ok());
    }

    #[test]
    fn lists() {
        let tag = |key: &str| Tag { key: Some(key.into()), value: None };
        let many = |count: usize| checked(Some((0..count).map(|number| tag(&number.to_string())).collect()));
        assert_eq!(checked(None), Ok(BTreeMap::new()));
        assert_eq!(checked(Some(vec![])).unwrap_err().code, Code::ValidationError);
        assert_eq!(checked(Some(vec![Tag { key: None, value: None }])).unwrap_err().code, Code::ValidationError);
        assert_eq!(checked(Some(vec![tag("a"), tag("a")])).unwrap_err().code, Code::DuplicateTagKeys);
        assert_eq!(checked(Some(vec![tag("a"), tag("A")])).unwrap()["A"], "");
        assert_eq!(many(50).unwrap().len(), 50);
        assert_eq!(many(51).unwrap_err().code, Code::TooManyTags);
    }
}
