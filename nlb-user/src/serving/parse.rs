//! From the text of lb.json to a [`Config`], with all that is wrong on the way.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use super::{Config, Invalid, Limits, Listener, LoadBalancer, Protocol, attributes, rules};
use crate::manifest::tree::{Object, Reader, Source, Value, list, load, quote};

impl Config {
    /// The configuration that `text` is; `file` names it in errors.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn from_json(text: &str, file: &str, limits: &Limits) -> Result<Self, Invalid> {
        let source = Source::new(text, file);
        let root = load(&source)?;
        let mut reader = Reader::new(&source);
        let config = Parser::new(&mut reader, limits).config(&Value::root(&root));
        reader.problems.finish(&source, config)
    }
}

/// Reads and checks at once; what is named twice is remembered with the path of its first place.
pub(super) struct Parser<'r, 'a> {
    pub reader: &'r mut Reader,
    limits: &'r Limits,
    /// Protocol of each group, if it is a valid one.
    pub groups: BTreeMap<String, Option<Protocol>>,
    /// The load balancer that uses a group.
    users: BTreeMap<String, String>,
    /// Addresses of load balancers and where they stand.
    addresses: HashMap<IpAddr, String>,
    /// Targets' addresses.
    pub targets: Vec<(IpAddr, Value<'a>)>,
}

impl<'r, 'a> Parser<'r, 'a> {
    fn new(reader: &'r mut Reader, limits: &'r Limits) -> Self {
        let (groups, users) = (BTreeMap::new(), BTreeMap::new());
        Self { reader, limits, groups, users, addresses: HashMap::new(), targets: Vec::new() }
    }

    fn config(mut self, root: &Value<'a>) -> Option<Config> {
        let mut fields = self.reader.object(root, &["load_balancers", "target_groups"])?;
        let balancers = self.reader.required(&mut fields, "load_balancers", "[...]");
        let groups = self.reader.required(&mut fields, "target_groups", "[...]");
        // Groups first: listeners are checked against them.
        let groups = groups.and_then(|value| self.named(&value, Self::group));
        let balancers = balancers.and_then(|value| self.named(&value, Self::balancer));
        for (address, at) in &self.targets {
            if let Some(first) = self.addresses.get(address) {
                let text = format!("found {address}, which is a load balancer's address ({first}): a target is a host");
                self.reader.problem(at, text);
            }
        }
        Some(Config { load_balancers: balancers?, target_groups: groups? })
    }

    /// A list of things with a `name` that is unique among them.
    fn named<T>(
        &mut self,
        value: &Value<'a>,
        mut read: impl FnMut(&mut Self, &Value<'a>, &mut HashMap<String, String>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let mut names = HashMap::new();
        let values = self.reader.list(value)?;
        let read: Vec<Option<T>> = values.iter().map(|value| read(self, value, &mut names)).collect();
        read.into_iter().collect()
    }

    fn balancer(&mut self, value: &Value<'a>, names: &mut HashMap<String, String>) -> Option<LoadBalancer> {
        let mut fields = self.reader.object(value, &["name", "addresses", "listeners"])?;
        let name = self.name(&mut fields, names, rules::load_balancer_name);
        let addresses = self.reader.required(&mut fields, "addresses", "[\"198.18.0.10\"]");
        let addresses = addresses.and_then(|value| self.addresses(&value));
        let listeners = self.reader.required(&mut fields, "listeners", "[...]");
        let listeners = listeners.and_then(|value| self.listeners(&value, name.as_deref().unwrap_or("?")));
        Some(LoadBalancer { name: name?, addresses: addresses?, listeners: listeners? })
    }

    fn addresses(&mut self, value: &Value<'a>) -> Option<Vec<IpAddr>> {
        let values = self.reader.list(value)?;
        if values.is_empty() {
            self.reader.problem(value, "found an empty list: a load balancer needs at least one address");
        }
        let read: Vec<Option<IpAddr>> = values
            .iter()
            .map(|value| {
                let address = self.address(value)?;
                if let Some(first) = self.addresses.get(&address) {
                    let text = format!(
                        "found {address}, which stands at {first} already: an address is unique over all load balancers"
                    );
                    self.reader.problem(value, text);
                } else {
                    self.addresses.insert(address, value.path.clone());
                }
                Some(address)
            })
            .collect();
        read.into_iter().collect()
    }

    fn listeners(&mut self, value: &Value<'a>, balancer: &str) -> Option<Vec<Listener>> {
        let values = self.reader.list(value)?;
        if values.len() > rules::MOST_LISTENERS {
            let text = format!(
                "found {} listeners, allowed are {}: spread them over several load balancers",
                values.len(),
                rules::MOST_LISTENERS
            );
            self.reader.problem(value, text);
        }
        let mut taken: HashMap<(u8, u16), String> = HashMap::new();
        let read: Vec<Option<Listener>> = values
            .iter()
            .map(|value| {
                let listener = self.listener(value, balancer)?;
                for number in listener.protocol.numbers() {
                    let key = (*number, listener.port);
                    if let Some(first) = taken.get(&key) {
                        let (protocol, port) = (listener.protocol, listener.port);
                        let text = format!("found {protocol} on port {port}, which {first} has already: a port has one listener for each protocol, and TCP_UDP takes both");
                        self.reader.problem(value, text);
                        break;
                    }
                    taken.insert(key, value.path.clone());
                }
                Some(listener)
            })
            .collect();
        read.into_iter().collect()
    }

    fn listener(&mut self, value: &Value<'a>, balancer: &str) -> Option<Listener> {
        let mut fields = self.reader.object(value, &["protocol", "port", "target_group", "attributes"])?;
        let protocol = self.protocol(&mut fields);
        let port = self.reader.required(&mut fields, "port", "80").and_then(|value| self.port(&value));
        let group = self.reader.required(&mut fields, "target_group", "\"web\"");
        let group = group.and_then(|value| self.group_of(&value, protocol, balancer));
        let idle_timeout_s = match fields.optional("attributes") {
            Some(value) => attributes::of_listener(self.reader, &value, protocol, self.limits),
            None => Some(Listener::DEFAULT_IDLE_S),
        };
        Some(Listener { protocol: protocol?, port: port?, target_group: group?, idle_timeout_s: idle_timeout_s? })
    }

    /// The group that a listener names: it exists, speaks a protocol that suits, and is nobody else's.
    fn group_of(&mut self, value: &Value<'a>, protocol: Option<Protocol>, balancer: &str) -> Option<String> {
        let name = self.reader.string(value, "the name of a target group")?;
        let Some(group) = self.groups.get(&name).copied() else {
            let names: Vec<&str> = self.groups.keys().map(String::as_str).take(10).collect();
            let there = match self.groups.len() {
                0 => "there are none".to_owned(),
                count if count > names.len() => format!("there are {} and {} more", list(&names), count - names.len()),
                _ => format!("there are {}", list(&names)),
            };
            self.reader.problem(value, format!("found {}, which is no target group: {there}", quote(&name)));
            return None;
        };
        if let (Some(protocol), Some(group)) = (protocol, group)
            && !protocol.of_groups().contains(&group)
        {
            let allowed: Vec<&str> = protocol.of_groups().iter().map(|protocol| protocol.as_str()).collect();
            let allowed = allowed.join(" and ");
            let text = format!("found {}, a {group} group: a {protocol} listener takes {allowed} groups", quote(&name));
            self.reader.problem(value, text);
        }
        let user = self.users.entry(name.clone()).or_insert_with(|| balancer.to_owned());
        if user != balancer {
            let text = format!(
                "found {}, which load balancer `{user}` uses: a target group belongs to one load balancer",
                quote(&name)
            );
            self.reader.problem(value, text);
        }
        Some(name)
    }

    pub fn name(
        &mut self,
        fields: &mut Object<'a>,
        names: &mut HashMap<String, String>,
        rule: fn(&str) -> Option<&'static str>,
    ) -> Option<String> {
        let value = self.reader.required(fields, "name", "\"web\"")?;
        let name = self.reader.string(&value, "a name")?;
        if let Some(why) = rule(&name) {
            self.reader.problem(&value, format!("found {}: {why}", quote(&name)));
        }
        if let Some(first) = names.get(&name) {
            self.reader
                .problem(&value, format!("found {}, which stands at {first} already: names are unique", quote(&name)));
        } else {
            names.insert(name.clone(), value.path.clone());
        }
        Some(name)
    }

    pub fn protocol(&mut self, fields: &mut Object<'a>) -> Option<Protocol> {
        let value = self.reader.required(fields, "protocol", "\"TCP\"")?;
        let text = self.reader.string(&value, "\"TCP\", \"UDP\" or \"TCP_UDP\"")?;
        let protocol = Protocol::ALL.into_iter().find(|protocol| protocol.as_str() == text);
        match (protocol, text.as_str()) {
            (None, "TLS") => self
                .reader
                .problem(&value, "found \"TLS\", but TLS is not there yet: with \"TCP\", the targets decrypt"),
            (None, _) => self
                .reader
                .problem(&value, format!("found {}, allowed are \"TCP\", \"UDP\" and \"TCP_UDP\"", quote(&text))),
            _ => {}
        }
        protocol
    }

    pub fn port(&mut self, value: &Value<'a>) -> Option<u16> {
        self.reader.integer(value, 1..=u16::MAX)
    }

    pub fn address(&mut self, value: &Value<'a>) -> Option<IpAddr> {
        let text = self.reader.string(value, "an IP address in quotes")?;
        let Ok(address) = text.parse() else {
            self.reader.problem(value, format!("found {}, allowed is an IPv4 or IPv6 address", quote(&text)));
            return None;
        };
        if let Some(why) = rules::address(address) {
            self.reader.problem(value, format!("found {}: {why}", quote(&text)));
        }
        Some(address)
    }
}
