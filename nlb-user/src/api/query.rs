//! A request's parameters: from `Targets.member.1.Id=i-0a&Targets.member.1.Port=80` to the tree that operations read.
//!
//! Whatever comes in costs memory and time in proportion to its length: depth, indices, and the number of parameters
//! are bounded, and a tree that contradicts itself is refused instead of being guessed at.

use std::{borrow::Cow, collections::BTreeMap};

use percent_encoding::percent_decode;
use serde_json::Value;

use super::cut;
use crate::model::{Code, Fault};

/// The version of the API, which requests name.
pub const VERSION: &str = "2015-12-01";
/// Parameters of a request. 3,000 targets with id, port and zone have 9,000.
const MAX_PARAMETERS: usize = 20_000;
/// Names within a parameter's name; the API's deepest has 8.
const MAX_DEPTH: usize = 16;
/// Bytes of a parameter's name.
const MAX_NAME: usize = 512;
/// Bytes of a parameter's value.
const MAX_VALUE: usize = 65_536;
/// The largest number of a list's member.
const MAX_INDEX: u32 = 20_000;

/// What is between a list's name and its members' numbers.
const MEMBER: &str = "member";

/// A parameter's name and its value.
pub type Pair = (String, String);

/// What a request asks for.
#[derive(Clone, PartialEq, Debug)]
pub struct Call {
    /// The operation.
    pub action: String,
    /// Its input: objects, lists and text.
    pub input: Value,
}

/// Reads a form (`application/x-www-form-urlencoded`), or the query of a URL, which is written the same way.
///
/// # Errors
/// `MalformedQueryString` if it is not UTF-8.
pub fn pairs(form: &[u8]) -> Result<Vec<Pair>, Fault> {
    split(form).map(|(name, value)| Ok((text(name.into_owned())?, text(value.into_owned())?))).collect()
}

/// Names and values of a form, each decoded to bytes. Those without `=` have an empty value.
pub fn split(form: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let mut part = || decoded(parts.next().unwrap_or_default());
        (part(), part())
    })
}

/// `+` and `%XX` turned into what they stand for.
fn decoded(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'+') {
        return percent_decode(bytes).into();
    }
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_decode(&spaced).collect::<Vec<u8>>().into()
}

/// A decoded name or value as text.
///
/// # Errors
/// `MalformedQueryString` if it is not UTF-8.
pub fn text(bytes: Vec<u8>) -> Result<String, Fault> {
    let malformed = "the parameters are not UTF-8; encode them as UTF-8 before %XX";
    String::from_utf8(bytes).map_err(|_| Fault::new(Code::MalformedQueryString, malformed))
}

/// The operation that parameters name; for the audit log's record of requests that are refused before they are read.
pub fn action(pairs: &[Pair]) -> Option<&str> {
    let action = pairs.iter().find(|(name, _)| name == "Action").map(|(_, value)| value.as_str())?;
    let plausible = (1..=64).contains(&action.len()) && action.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plausible.then_some(action)
}

/// Reads parameters as a call.
///
/// # Errors
/// `MissingAction` or `InvalidAction` if no operation of this version is named, `ValidationError` if the parameters make
/// no tree.
pub fn call(pairs: Vec<Pair>) -> Result<Call, Fault> {
    if pairs.len() > MAX_PARAMETERS {
        let found = pairs.len();
        return Err(Fault::validation(format!(
            "the request has {found} parameters: at most {MAX_PARAMETERS} are read"
        )));
    }
    let mut root = Node::default();
    for (name, value) in pairs {
        root.insert(&name, value)?;
    }
    let Node::Inner(mut fields) = root else { return Err(no_action()) };
    let action = match fields.remove("Action") {
        Some(Node::Text(action)) if !action.is_empty() => action,
        _ => return Err(no_action()),
    };
    let version = match fields.remove("Version") {
        // The reference asks for it, since it has several. This server has one, and people type requests by hand.
        None => VERSION.to_owned(),
        Some(Node::Text(version)) => version,
        Some(Node::Inner(_)) => return Err(Fault::validation(format!("Version is a list: give {VERSION}"))),
    };
    if version != VERSION {
        return Err(unknown(&action, &version));
    }
    Ok(Call { action, input: Node::Inner(fields).into_value("")? })
}

fn no_action() -> Fault {
    Fault::new(Code::MissingAction, "the request names no operation: give its name as the parameter Action")
}

/// The refusal of an operation that does not exist, or not over HTTP.
pub fn unknown(action: &str, version: &str) -> Fault {
    let (action, version) = (cut(action, 64), cut(version, 64));
    let message = format!("Could not find operation {action} for version {version}; this server has version {VERSION}");
    Fault::new(Code::InvalidAction, message)
}

/// A parameter, or what parameters with the same beginning make together.
enum Node {
    Text(String),
    Inner(BTreeMap<String, Node>),
}

impl Default for Node {
    fn default() -> Self {
        Self::Inner(BTreeMap::new())
    }
}

impl Node {
    fn insert(&mut self, name: &str, value: String) -> Result<(), Fault> {
        let refuse = |why: String| Err(Fault::validation(format!("parameter {}: {why}", cut(name, 128))));
        if name.len() > MAX_NAME {
            return refuse(format!("its name has {} bytes, at most {MAX_NAME} are read", name.len()));
        }
        if value.len() > MAX_VALUE {
            return refuse(format!("its value has {} bytes, at most {MAX_VALUE} are read", value.len()));
        }
        let last = name.matches('.').count();
        let mut node = self;
        for (depth, part) in name.split('.').enumerate() {
            if depth == MAX_DEPTH {
                return refuse(format!("it is nested deeper than {MAX_DEPTH} names"));
            }
            let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if part.is_empty() || !part.bytes().all(known) {
                return refuse("names are letters and digits, with a dot between two of them".to_owned());
            }
            let Self::Inner(fields) = node else {
                return refuse("it has a value of its own and members as well; give one of the two".to_owned());
            };
            if fields.contains_key(part) && depth == last {
                return refuse("it is given twice, or as a value and as a list; give it once".to_owned());
            }
            node = fields.entry(part.to_owned()).or_default();
        }
        *node = Self::Text(value);
        Ok(())
    }

    fn into_value(self, name: &str) -> Result<Value, Fault> {
        let mut fields = match self {
            Self::Text(text) => return Ok(Value::String(text)),
            Self::Inner(fields) => fields,
        };
        if let Some(members) = fields.remove(MEMBER) {
            let Self::Inner(members) = members else {
                return Err(Fault::validation(format!("parameter {name}.{MEMBER}: a number is missing after it")));
            };
            if let Some(other) = fields.keys().next() {
                let why = format!("parameter {name}: it is a list and has a member {other}; give one of the two");
                return Err(Fault::validation(why));
            }
            return list(name, members);
        }
        let below = |part: &str| if name.is_empty() { part.to_owned() } else { format!("{name}.{part}") };
        let values = fields.into_iter().map(|(part, node)| {
            let value = node.into_value(&below(&part))?;
            Ok((part, value))
        });
        Ok(Value::Object(values.collect::<Result<_, Fault>>()?))
    }
}

/// A list's members in the order of their numbers. Numbers may be left out.
fn list(name: &str, members: BTreeMap<String, Node>) -> Result<Value, Fault> {
    let mut ordered = BTreeMap::new();
    for (number, node) in members {
        let index = number.parse().ok().filter(|index| (1..=MAX_INDEX).contains(index) && !number.starts_with('0'));
        let Some(index) = index else {
            let found = cut(&number, 64);
            let why = format!("parameter {name}.{MEMBER}.{found}: members are numbered from 1 to {MAX_INDEX}");
            return Err(Fault::validation(why));
        };
        ordered.insert(index, node.into_value(&format!("{name}.{MEMBER}.{number}"))?);
    }
    Ok(Value::Array(ordered.into_values().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn read(form: &str) -> Result<Call, Fault> {
        call(pairs(form.as_bytes())?)
    }

    fn input(form: &str) -> Value {
        read(&format!("Action=X&Version=2015-12-01&{form}")).unwrap().input
    }

    fn refusal(form: &str) -> String {
        let fault = read(&format!("Action=X&{form}")).unwrap_err();
        assert_eq!(fault.code, Code::ValidationError);
        fault.message
    }

    #[test]
    fn trees() {
        assert_eq!(input(""), json!({}));
        assert_eq!(input("Name=web&Port=80"), json!({"Name": "web", "Port": "80"}));
        assert_eq!(
            input("Targets.member.1.Id=i-0a&Targets.member.1.Port=80&Targets.member.2.Id=i-0b"),
            json!({"Targets": [{"Id": "i-0a", "Port": "80"}, {"Id": "i-0b"}]})
        );
        assert_eq!(
            input("A.member.1.F.G.member.1.H=x&Matcher.HttpCode=200"),
            json!({"A": [{"F": {"G": [{"H": "x"}]}}], "Matcher": {"HttpCode": "200"}})
        );
    }

    #[test]
    fn members_stand_in_the_order_of_their_numbers_whatever_order_they_come_in() {
        assert_eq!(input("A.member.10=j&A.member.2=b&A.member.1=a"), json!({"A": ["a", "b", "j"]}));
    }

    #[test]
    fn an_empty_list_stays_empty_text() {
        assert_eq!(input("Tags=&Names"), json!({"Tags": "", "Names": ""}));
    }

    #[test]
    fn escapes() {
        assert_eq!(input("Name=a+b%20c%2Bd%26%3D"), json!({"Name": "a b c+d&="}));
        assert_eq!(input("Na%6De=%C3%A9=1&&"), json!({"Name": "é=1"}));
        assert_eq!(input("Name=100%&Other=%zz"), json!({"Name": "100%", "Other": "%zz"}));
        assert_eq!(read("Action=X&Name=%ff").unwrap_err().code, Code::MalformedQueryString);
    }

    #[test]
    fn contradictions_are_refused() {
        for form in ["A=1&A=1", "A=1&A.B=2", "A.B=2&A=1", "A.member.1=x&A.member.1=y", "A.member.1=x&A.member.1.B=y"] {
            assert!(refusal(form).starts_with("parameter A"), "{form}: {}", refusal(form));
        }
        assert_eq!(refusal("A.member.1=x&A.B=y"), "parameter A: it is a list and has a member B; give one of the two");
    }

    #[test]
    fn numbers_of_members() {
        for number in ["0", "01", "-1", "x", "20001", "99999999999999999999"] {
            let why = refusal(&format!("A.member.{number}=x"));
            assert_eq!(why, format!("parameter A.member.{number}: members are numbered from 1 to 20000"));
        }
        assert_eq!(refusal("A.member=x"), "parameter A.member: a number is missing after it");
        assert_eq!(input("A.member.20000=x"), json!({"A": ["x"]}));
    }

    #[test]
    fn bounds() {
        assert!(refusal(&format!("{}=x", ["A"; 17].join("."))).contains("nested deeper than 16"));
        input(&format!("{}=x", ["A"; 16].join(".")));
        assert!(refusal(&format!("{}=x", "A".repeat(513))).contains("513 bytes, at most 512"));
        assert!(refusal(&format!("A={}", "x".repeat(65_537))).contains("65537 bytes, at most 65536"));
        let many: Vec<_> = (1..=20_001).map(|number| format!("A.member.{number}=x")).collect();
        assert!(refusal(&many.join("&")).contains("20002 parameters"));
        assert_eq!(input(&many[..19_998].join("&"))["A"].as_array().unwrap().len(), 19_998);
        for name in ["", ".", "A.", ".A", "A..B", "A B", "A%00"] {
            assert!(refusal(&format!("{name}=x")).contains("letters and digits"), "{name}");
        }
    }

    #[test]
    fn operations_and_versions() {
        for form in ["", "Version=2015-12-01", "Action=", "Action.member.1=X"] {
            assert_eq!(read(form).unwrap_err().code, Code::MissingAction, "{form}");
        }
        assert_eq!(read("Action=DescribeTags").unwrap().action, "DescribeTags");
        let fault = read("Action=DescribeTags&Version=2012-06-01").unwrap_err();
        assert_eq!(fault.code, Code::InvalidAction);
        assert!(fault.message.starts_with("Could not find operation DescribeTags for version 2012-06-01"));
    }

    #[test]
    fn the_name_for_the_audit_log_is_a_name() {
        let named = |form: &str| action(&pairs(form.as_bytes()).unwrap()).map(str::to_owned);
        assert_eq!(named("Version=1&Action=DescribeTags").as_deref(), Some("DescribeTags"));
        for form in ["", "Action=", "Action=a%0Ab", &format!("Action={}", "x".repeat(65))] {
            assert_eq!(named(form), None, "{form}");
        }
    }

    proptest! {
        /// Every tree that can be written is read as it was.
        #[test]
        fn what_is_written_is_read(tree in tree()) {
            let mut form = form_urlencoded::Serializer::new(String::new());
            form.append_pair("Action", "X");
            let mut pairs = Vec::new();
            write("", &tree, &mut pairs);
            pairs.iter().rev().for_each(|(name, value)| { form.append_pair(name, value); });
            let call = call(super::pairs(form.finish().as_bytes()).unwrap()).unwrap();
            prop_assert_eq!(call.input, tree);
        }

        /// Nothing is too strange to be answered.
        #[test]
        fn any_bytes(form in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = pairs(&form).and_then(call);
        }

        /// Nor is what looks like a form.
        #[test]
        fn any_form(form in "((Action|A|B|member|[0-9]{1,3}|[.%=&+]|%[0-9a-f]{2}|é){0,4}[.=&]){0,30}") {
            let _ = pairs(form.as_bytes()).and_then(call);
        }
    }

    fn tree() -> impl Strategy<Value = Value> {
        let name = "[A-L][a-zA-Z0-9]{0,4}";
        let value = ".{0,6}".prop_map(Value::String).boxed().prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Value::Array),
                prop::collection::btree_map(name, inner, 1..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[M-W][a-z]{0,4}", value, 0..4)
            .prop_map(|fields| Value::Object(fields.into_iter().collect()))
    }

    fn write(name: &str, value: &Value, pairs: &mut Vec<Pair>) {
        match value {
            Value::Array(members) => {
                for (at, member) in members.iter().enumerate() {
                    write(&format!("{name}.member.{}", at + 1), member, pairs);
                }
            }
            Value::Object(fields) => {
                for (field, value) in fields {
                    let dot = if name.is_empty() { "" } else { "." };
                    write(&format!("{name}{dot}{field}"), value, pairs);
                }
            }
            other => pairs.push((name.to_owned(), other.as_str().unwrap().to_owned())),
        }
    }
}
