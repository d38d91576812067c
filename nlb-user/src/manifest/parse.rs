//! From the values of a file to what it says, with all that is wrong on the way: the file as a whole, and what its parts
//! have in common.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use super::{
    address,
    problem::Invalid,
    shape::{BalancerEntry, Document, GroupEntry, Placed},
    terms,
    tree::{Object, Place, Reader, Source, Value, load, quote},
};
use crate::{
    model::{Account, Fault, Protocol, TargetGroup},
    ops::{
        attributes::{self, Attribute, Given},
        tags::{self, Tag},
    },
};

/// What a file says.
///
/// # Errors
/// With everything that is wrong with it by itself.
pub fn read(text: &str, file: &str) -> Result<Document, Invalid> {
    let source = Source::new(text, file);
    let root = load(&source)?;
    let mut reader = Reader::new(&source);
    let parsed = Parser::new(&mut reader).file(&Value::root(&root));
    let parsed = reader.problems.finish(&source, parsed)?;
    let (balancers_at, groups_at) = (parsed.balancers.at, parsed.groups.at);
    Ok(Document { source, balancers_at, balancers: parsed.balancers.value, groups_at, groups: parsed.groups.value })
}

struct File {
    balancers: Placed<Vec<BalancerEntry>>,
    groups: Placed<Vec<GroupEntry>>,
}

/// Reads and checks at once; what is named twice is remembered with the path of its first place.
pub(super) struct Parser<'r> {
    pub reader: &'r mut Reader,
    /// The groups, by name; `None` for one that is not valid.
    pub groups: BTreeMap<String, Option<TargetGroup>>,
    /// The load balancer that uses a group.
    pub users: BTreeMap<String, String>,
    /// Addresses of load balancers and where they stand.
    pub addresses: HashMap<IpAddr, String>,
}

/// Names of things of a kind, and where they stand.
pub(super) type Names = HashMap<String, String>;

impl<'r> Parser<'r> {
    fn new(reader: &'r mut Reader) -> Self {
        Self { reader, groups: BTreeMap::new(), users: BTreeMap::new(), addresses: HashMap::new() }
    }

    fn file(mut self, root: &Value<'_>) -> Option<File> {
        let mut fields = self.reader.object(root, &["load_balancers", "target_groups"])?;
        let balancers = self.reader.required(&mut fields, "load_balancers", "[...]");
        let groups = self.reader.required(&mut fields, "target_groups", "[...]");
        // Groups first: listeners are checked against them.
        let groups = groups.and_then(|value| self.named(&value, Self::group));
        let balancers = balancers.and_then(|value| self.named(&value, Self::balancer));
        Some(File { balancers: balancers?, groups: groups? })
    }

    /// A list of things with a `name` that is unique among them.
    fn named<T>(
        &mut self,
        value: &Value<'_>,
        mut read: impl FnMut(&mut Self, &Value<'_>, &mut Names) -> Option<T>,
    ) -> Option<Placed<Vec<T>>> {
        let mut names = HashMap::new();
        self.each(value, |parser, value| read(parser, value, &mut names))
    }

    /// All values of a list, each read.
    pub fn each<T>(
        &mut self,
        value: &Value<'_>,
        mut read: impl FnMut(&mut Self, &Value<'_>) -> Option<T>,
    ) -> Option<Placed<Vec<T>>> {
        let values = self.reader.list(value)?;
        let read: Vec<Option<T>> = values.iter().map(|value| read(self, value)).collect();
        Some(placed(value, read.into_iter().collect::<Option<_>>()?))
    }

    pub fn name(
        &mut self,
        fields: &mut Object<'_>,
        names: &mut Names,
        rule: fn(&str) -> Result<(), Fault>,
    ) -> Option<Placed<String>> {
        let value = self.reader.required(fields, "name", "\"web\"")?;
        let name = self.text(&value, "a name")?;
        self.hold(&value, rule(&name.value));
        if let Some(first) = names.get(&name.value) {
            let text = format!("found {}, which stands at {first} already: names are unique", quote(&name.value));
            self.reader.problem(&value, text);
        } else {
            names.insert(name.value.clone(), value.path);
        }
        Some(name)
    }

    pub fn protocol(&mut self, fields: &mut Object<'_>) -> Option<Placed<Protocol>> {
        let value = self.reader.required(fields, "protocol", "\"TCP\"")?;
        self.word(&value, &Protocol::ALL, Protocol::as_str)
    }

    pub fn port(&mut self, value: &Value<'_>) -> Option<Placed<u16>> {
        self.reader.integer(value, 1..=u16::MAX).map(|port| placed(value, port))
    }

    /// An address that a host can have.
    pub fn address(&mut self, value: &Value<'_>) -> Option<Placed<IpAddr>> {
        let address = self.parsed(value)?;
        if let Some(why) = address::refusal(address.value) {
            self.reader.problem(value, format!("found {}: {why}", value.found()));
        }
        Some(address)
    }

    /// An address of some family.
    pub fn parsed<T: std::str::FromStr + OfFamily>(&mut self, value: &Value<'_>) -> Option<Placed<T>> {
        let text = self.reader.string(value, "an IP address in quotes")?;
        let parsed = text.parse().ok().map(|address| placed(value, address));
        if parsed.is_none() {
            self.reader.problem(value, format!("found {}, allowed is {}", quote(&text), T::NAME));
        }
        parsed
    }

    /// One of these words.
    pub fn word<T: Copy>(
        &mut self,
        value: &Value<'_>,
        all: &[T],
        text: impl Fn(T) -> &'static str,
    ) -> Option<Placed<T>> {
        let mut words: Vec<String> = all.iter().map(|it| format!("{:?}", text(*it))).collect();
        let last = words.pop().unwrap_or_default();
        let words = if words.is_empty() { last } else { format!("{} and {last}", words.join(", ")) };
        let found = self.reader.string(value, &words)?;
        let word = all.iter().copied().find(|it| text(*it) == found);
        if word.is_none() {
            self.reader.problem(value, format!("found {}, allowed are {words}", quote(&found)));
        }
        word.map(|word| placed(value, word))
    }

    /// One of these words, or another thing if there is no word.
    pub fn word_or<T: Copy>(
        &mut self,
        value: Option<Value<'_>>,
        all: &[T],
        text: impl Fn(T) -> &'static str,
        default: T,
    ) -> Option<Placed<T>> {
        match value {
            Some(value) => self.word(&value, all, text),
            None => Some(Placed { value: default, at: Place::default() }),
        }
    }

    /// What may be left out; the outer `None` is for what is wrong.
    #[expect(clippy::option_option, reason = "wrong and left out are different things")]
    pub fn optional<T>(
        &mut self,
        fields: &mut Object<'_>,
        name: &str,
        read: impl FnOnce(&mut Self, &Value<'_>) -> Option<T>,
    ) -> Option<Option<T>> {
        match fields.optional(name) {
            Some(value) => read(self, &value).map(Some),
            None => Some(None),
        }
    }

    pub fn text(&mut self, value: &Value<'_>, what: &str) -> Option<Placed<String>> {
        self.reader.string(value, what).map(|text| placed(value, text))
    }

    /// A list of texts that may be left out; whether each may stand there `once` only.
    pub fn texts(&mut self, value: Option<Value<'_>>, what: &str, once: bool) -> Option<Placed<Vec<Placed<String>>>> {
        let Some(value) = value else { return Some(Placed { value: Vec::new(), at: Place::default() }) };
        let mut seen = HashMap::new();
        self.each(&value, |parser, value| {
            let text = parser.text(value, what)?;
            if let Some(first) = seen.insert(text.value.clone(), value.path.clone()).filter(|_| once) {
                parser.reader.problem(value, format!("found {}, which stands at {first} already", quote(&text.value)));
            }
            Some(text)
        })
    }

    /// Attributes of this table, in the form they are kept in. Whether they go together is for the resource to say.
    pub fn attributes(
        &mut self,
        value: Option<Value<'_>>,
        table: &[Attribute],
    ) -> Option<Placed<BTreeMap<String, String>>> {
        let Some(value) = value else { return Some(Placed { value: BTreeMap::new(), at: Place::default() }) };
        let mut all = BTreeMap::new();
        for (key, at) in self.reader.map(&value)?.into_fields() {
            let Some(text) = self.attribute(&at) else { continue };
            let given = Given { key: Some(key.to_owned()), value: Some(text) };
            all.extend(self.hold(&at, attributes::checked(table, vec![given])).unwrap_or_default());
        }
        Some(placed(&value, all))
    }

    /// The value of an attribute.
    pub fn attribute(&mut self, value: &Value<'_>) -> Option<String> {
        self.reader.string(value, "a string, as the values of all attributes")
    }

    pub fn tags(&mut self, value: Option<Value<'_>>) -> Option<BTreeMap<String, String>> {
        let Some(value) = value else { return Some(BTreeMap::new()) };
        let mut all = Vec::new();
        for (key, at) in self.reader.map(&value)?.into_fields() {
            let Some(text) = self.reader.string(&at, "a string") else { continue };
            let tag = Tag { key: Some(key.to_owned()), value: Some(text) };
            if self.hold(&at, tags::checked(Some(vec![tag.clone()]))).is_some() {
                all.push(tag);
            }
        }
        match all.is_empty() {
            true => Some(BTreeMap::new()),
            // Each is good; are there too many?
            false => self.hold(&value, tags::checked(Some(all))),
        }
    }

    /// What a rule gives; what it says against it is a problem of `value`.
    pub fn hold<T>(&mut self, value: &Value<'_>, ruled: Result<T, Fault>) -> Option<T> {
        ruled.map_err(|fault| self.reader.problem(value, terms::translate(&fault))).ok()
    }
}

/// For error texts: which addresses a type holds.
pub(super) trait OfFamily {
    /// As in `an IPv4 address`.
    const NAME: &str;
}

impl OfFamily for IpAddr {
    const NAME: &str = "an IPv4 or IPv6 address";
}

impl OfFamily for std::net::Ipv4Addr {
    const NAME: &str = "an IPv4 address";
}

impl OfFamily for std::net::Ipv6Addr {
    const NAME: &str = "an IPv6 address";
}

/// Whose resources those of a file are until they are applied.
pub(super) const fn nobody() -> Account {
    Account { region: String::new(), id: String::new() }
}

pub(super) fn placed<T>(value: &Value<'_>, it: T) -> Placed<T> {
    Placed { value: it, at: value.place() }
}
