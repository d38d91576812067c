//! Tags: pairs of text that users give resources to tell them apart. `AddTags`, `RemoveTags` and `DescribeTags`.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Context, Void, checks, find};
use crate::model::{Arn, ArnKind, Code, Fault, Quotas, State};

/// The most resources that a call can ask about.
const ASKED: usize = 20;

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

/// `AddTags`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct AddInput {
    resource_arns: Vec<String>,
    tags: Vec<Tag>,
}

/// `RemoveTags`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct RemoveInput {
    resource_arns: Vec<String>,
    tag_keys: Vec<String>,
}

/// `DescribeTags`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInput {
    resource_arns: Vec<String>,
}

/// What `DescribeTags` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeOutput {
    tag_descriptions: Vec<Description>,
}

/// A resource and its tags.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    resource_arn: String,
    tags: Vec<Told>,
}

/// `AddTags`: a key that is there gets the new value.
///
/// # Errors
/// As [`checked`] and `resource`; `InvalidConfigurationRequest` for rules, which have no tags.
pub fn add(state: &mut State, input: AddInput, _: &Context<'_>) -> Result<Void, Fault> {
    let tags = checked(Some(input.tags))?;
    for (arn, kind) in resources(&input.resource_arns)? {
        if kind == ArnKind::Rule {
            find::rule(state, arn.as_str())?;
            return Err(Fault::configuration(format!(
                "{arn} is the default rule of its listener, which has no tags of its own: tag the listener"
            )));
        }
        change(state, &arn, kind, |present| {
            present.extend(tags.clone());
            within_quota(present)
        })?;
    }
    Ok(Void {})
}

/// `RemoveTags`: keys that are not there are removed already.
///
/// # Errors
/// As `resource`; `ValidationError` for keys that can't be.
pub fn remove(state: &mut State, input: RemoveInput, _: &Context<'_>) -> Result<Void, Fault> {
    if input.tag_keys.is_empty() {
        return Err(Fault::validation("TagKeys is empty: name at least one key"));
    }
    input.tag_keys.iter().try_for_each(|key| check_key(key))?;
    for (arn, kind) in resources(&input.resource_arns)? {
        let present = resource(state, &arn, kind)?;
        if input.tag_keys.iter().any(|key| present.contains_key(key)) {
            change(state, &arn, kind, |present| {
                present.retain(|key, _| !input.tag_keys.contains(key));
                Ok(())
            })?;
        }
    }
    Ok(Void {})
}

/// `DescribeTags`.
///
/// # Errors
/// As `resource`; `ValidationError` if more than 20 resources are named.
pub fn describe(state: &State, input: DescribeInput, _: &Context<'_>) -> Result<DescribeOutput, Fault> {
    checks::at_most("ResourceArns", input.resource_arns.len(), ASKED)?;
    let description = |(arn, kind): (Arn, ArnKind)| {
        Ok(Description { tags: told(resource(state, &arn, kind)?), resource_arn: arn.to_string() })
    };
    let tag_descriptions =
        resources(&input.resource_arns)?.into_iter().map(description).collect::<Result<_, Fault>>()?;
    Ok(DescribeOutput { tag_descriptions })
}

/// What `ResourceArns` names, each once.
fn resources(arns: &[String]) -> Result<Vec<(Arn, ArnKind)>, Fault> {
    if arns.is_empty() {
        return Err(Fault::validation("ResourceArns is empty: name at least one resource"));
    }
    let mut resources: Vec<(Arn, ArnKind)> = Vec::with_capacity(arns.len().min(ASKED));
    let mut seen = std::collections::BTreeSet::new();
    for text in arns.iter().filter(|text| seen.insert(text.as_str())) {
        resources.push(Arn::parse(text).ok_or_else(|| {
            Fault::validation(format!(
                "`{text}` is not the ARN of a load balancer, listener, rule or target group, which are what has tags"
            ))
        })?);
    }
    Ok(resources)
}

/// The tags of a resource; rules have none.
///
/// # Errors
/// `LoadBalancerNotFound`, `ListenerNotFound`, `RuleNotFound`, `TargetGroupNotFound`.
fn resource<'a>(state: &'a State, arn: &Arn, kind: ArnKind) -> Result<&'a BTreeMap<String, String>, Fault> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    let text = arn.as_str();
    match kind {
        ArnKind::LoadBalancer => find::load_balancer(state, text).map(|found| &found.tags),
        ArnKind::Listener => find::listener(state, text).map(|found| &found.tags),
        ArnKind::TargetGroup => find::target_group(state, text).map(|found| &found.tags),
        ArnKind::Rule => find::rule(state, text).map(|_| &NONE),
    }
}

/// Changes the tags of a resource that has some.
fn change(
    state: &mut State,
    arn: &Arn,
    kind: ArnKind,
    change: impl FnOnce(&mut BTreeMap<String, String>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    resource(state, arn, kind)?;
    let tags = match kind {
        ArnKind::LoadBalancer => state.load_balancers.get_mut(arn).map(|found| &mut Arc::make_mut(found).tags),
        ArnKind::Listener => state.listeners.get_mut(arn).map(|found| &mut Arc::make_mut(found).tags),
        ArnKind::TargetGroup => state.target_groups.get_mut(arn).map(|found| &mut Arc::make_mut(found).tags),
        ArnKind::Rule => None,
    };
    tags.map_or(Ok(()), change)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::Protocol,
        ops::testing::{self, World},
    };

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

    /// A world with one resource of each kind that has tags, and a rule.
    fn world() -> (World, [Arn; 3], Arn) {
        let mut world = World::new();
        let balancer = testing::load_balancer(&mut world.state, "web");
        let group = testing::target_group(&mut world.state, "web", Protocol::Tcp);
        let listener = testing::listener(&mut world.state, &balancer, Protocol::Tcp, 80, &group);
        let rule = world.state.listeners[&listener].default_rule.clone();
        (world, [balancer, group, listener], rule)
    }

    fn tags_of(world: &mut World, arn: &Arn) -> Value {
        let output = world.call("DescribeTags", json!({"ResourceArns": [arn]}));
        assert_eq!(output["TagDescriptions"][0]["ResourceArn"], arn.as_str());
        output["TagDescriptions"][0]["Tags"].clone()
    }

    #[test]
    fn add_replace_remove() {
        let (mut world, arns, _) = world();
        for arn in &arns {
            assert_eq!(tags_of(&mut world, arn), json!([]));
        }
        let input = json!({"ResourceArns": arns, "Tags": [{"Key": "b", "Value": "1"}, {"Key": "a"}, {"Key": "B"}]});
        assert_eq!(world.call("AddTags", input), json!({}));
        world.call("AddTags", json!({"ResourceArns": [arns[0], arns[0]], "Tags": [{"Key": "b", "Value": "2"}]}));
        let rest = [json!({"Key": "B", "Value": ""}), json!({"Key": "a", "Value": ""})];
        let with = |value: &str| json!([rest[0], rest[1], {"Key": "b", "Value": value}]);
        let told = world.call("DescribeTags", json!({"ResourceArns": arns}));
        let told: Vec<&Value> = told["TagDescriptions"].as_array().unwrap().iter().map(|one| &one["Tags"]).collect();
        assert_eq!(told, [&with("2"), &with("1"), &with("1")]);
        let input = json!({"ResourceArns": [arns[0], arns[2]], "TagKeys": ["b", "none", "b"]});
        assert_eq!(world.call("RemoveTags", input), json!({}));
        let told = arns.each_ref().map(|arn| tags_of(&mut world, arn));
        assert_eq!(told, [json!(rest), with("1"), json!(rest)]);
    }

    #[test]
    fn rules_have_none() {
        let (mut world, _, rule) = world();
        assert_eq!(tags_of(&mut world, &rule), json!([]));
        world.call("RemoveTags", json!({"ResourceArns": [rule], "TagKeys": ["a"]}));
        let input = json!({"ResourceArns": [rule], "Tags": [{"Key": "a"}]});
        world.refused(Code::InvalidConfigurationRequest, "AddTags", input);
    }

    /// A call that is refused for one resource changes none.
    #[test]
    fn all_or_nothing() {
        let (mut world, arns, _) = world();
        let none = format!("{}0", arns[1]);
        let input = json!({"ResourceArns": [arns[0], none], "Tags": [{"Key": "a"}]});
        world.refused(Code::TargetGroupNotFound, "AddTags", input);
        assert_eq!(tags_of(&mut world, &arns[0]), json!([]));
    }

    #[test]
    fn fifty_together() {
        let (mut world, [arn, ..], _) = world();
        let add = |range: std::ops::Range<usize>| {
            let tags: Vec<Value> = range.map(|number| json!({"Key": number.to_string()})).collect();
            json!({"ResourceArns": [arn], "Tags": tags})
        };
        world.call("AddTags", add(0..49));
        world.refused(Code::TooManyTags, "AddTags", add(49..51));
        world.call("AddTags", add(0..50));
        world.call("AddTags", add(0..50));
        world.refused(Code::TooManyTags, "AddTags", add(50..51));
        world.call("RemoveTags", json!({"ResourceArns": [arn], "TagKeys": ["0"]}));
        world.call("AddTags", add(50..51));
        assert_eq!(tags_of(&mut world, &arn).as_array().unwrap().len(), 50);
    }

    #[test]
    fn refusals() {
        let (mut world, arns, rule) = world();
        let codes = [Code::LoadBalancerNotFound, Code::TargetGroupNotFound, Code::ListenerNotFound, Code::RuleNotFound];
        for (arn, code) in arns.iter().chain([&rule]).zip(codes) {
            let none = [format!("{arn}0")];
            world.refused(code, "AddTags", json!({"ResourceArns": none, "Tags": [{"Key": "a"}]}));
            world.refused(code, "RemoveTags", json!({"ResourceArns": none, "TagKeys": ["a"]}));
            world.refused(code, "DescribeTags", json!({"ResourceArns": none}));
        }
        let mut refused = |operation: &str, input: Value| {
            world.refused(Code::ValidationError, operation, input);
        };
        for arns in [json!([]), json!(["web"]), json!(["arn:aws:elasticloadbalancing:us-east-1:1:truststore/a/b"])] {
            refused("AddTags", json!({"ResourceArns": arns, "Tags": [{"Key": "a"}]}));
            refused("RemoveTags", json!({"ResourceArns": arns, "TagKeys": ["a"]}));
            refused("DescribeTags", json!({"ResourceArns": arns}));
        }
        refused("AddTags", json!({"ResourceArns": [arns[0]], "Tags": []}));
        refused("AddTags", json!({"ResourceArns": [arns[0]]}));
        refused("RemoveTags", json!({"ResourceArns": [arns[0]], "TagKeys": []}));
        refused("RemoveTags", json!({"ResourceArns": [arns[0]], "TagKeys": ["aws:name"]}));
        refused("DescribeTags", json!({"ResourceArns": vec![&arns[0]; 21]}));
        world.call("DescribeTags", json!({"ResourceArns": vec![&arns[0]; 20]}));
        let twice = json!({"ResourceArns": [arns[0]], "Tags": [{"Key": "a"}, {"Key": "a"}]});
        world.refused(Code::DuplicateTagKeys, "AddTags", twice);
    }
}
