//! From the values of a file to what it says, with all that is wrong on the way: load balancers and their listeners.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use jiff::Timestamp;

use super::{
    address,
    problem::Invalid,
    shape::{BalancerEntry, Document, GroupEntry, ListenerEntry, Placed, SubnetEntry},
    terms,
    tree::{Object, Place, Reader, Source, Value, list, load, quote},
};
use crate::{
    model::{Account, Arn, Fault, IpAddressType, LoadBalancer, Protocol, Quotas, Scheme, TargetGroup},
    ops::{
        attributes::{self, Attribute, Given},
        listeners, load_balancer_attributes, names,
        subnet_mappings::{self, Asked, Network},
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
    users: BTreeMap<String, String>,
    /// Addresses of load balancers and where they stand.
    addresses: HashMap<IpAddr, String>,
}

/// Where a load balancer's addresses are from.
struct Addresses {
    own: Vec<Placed<IpAddr>>,
    subnets: Option<Placed<Vec<SubnetEntry>>>,
    ip_address_type: IpAddressType,
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

    fn balancer(&mut self, value: &Value<'_>, names: &mut Names) -> Option<BalancerEntry> {
        let allowed = [
            "name",
            "scheme",
            "addresses",
            "subnets",
            "subnet_mappings",
            "ip_address_type",
            "security_groups",
            "attributes",
            "tags",
            "listeners",
        ];
        let mut fields = self.reader.object(value, &allowed)?;
        let name = self.name(&mut fields, names, names::load_balancer);
        let schemes = [Scheme::InternetFacing, Scheme::Internal];
        let scheme = self.word_or(fields.optional("scheme"), &schemes, Scheme::as_str, Scheme::default());
        let addresses = self.addresses(&mut fields, scheme.as_ref().map(|scheme| scheme.value));
        let security_groups = self.texts(fields.optional("security_groups"), "the id of a security group", true);
        let attributes = fields.optional("attributes");
        let tags = self.tags(fields.optional("tags"));
        let listeners = self.reader.required(&mut fields, "listeners", "[...]");
        let user = name.as_ref().map_or("?", |name| &name.value).to_owned();
        let listeners = listeners.and_then(|value| self.listeners(&value, &user));
        let (name, Addresses { own, subnets, ip_address_type }) = (name?, addresses?);
        let mut built = LoadBalancer {
            arn: Arn::load_balancer(&nobody(), &name.value, ""),
            name: name.value.clone(),
            scheme: scheme?.value,
            ip_address_type,
            vpc: None,
            zones: Vec::new(),
            addresses: own.iter().map(|address| address.value).collect(),
            security_groups: security_groups.as_ref()?.value.iter().map(|id| id.value.clone()).collect(),
            attributes: BTreeMap::new(),
            tags: tags?,
            zonal_shift: None,
            created: Timestamp::UNIX_EPOCH,
        };
        let attributes = self.attributes(attributes, &load_balancer_attributes::table(&built))?;
        built.attributes = attributes.value;
        Some(BalancerEntry {
            at: value.place(),
            name,
            built,
            addresses: own,
            subnets,
            security_groups: security_groups?.value,
            attributes_at: attributes.at,
            listeners: listeners?,
        })
    }

    /// Either `addresses`, or `subnets`, or `subnet_mappings`.
    fn addresses(&mut self, fields: &mut Object<'_>, scheme: Option<Scheme>) -> Option<Addresses> {
        let own = fields.optional("addresses");
        let subnets = fields.optional("subnets");
        let mappings = fields.optional("subnet_mappings");
        let family = fields.optional("ip_address_type");
        for other in [&own, &subnets, &mappings].into_iter().flatten().skip(1) {
            let text = "a load balancer has either `addresses`, or `subnets`, or `subnet_mappings`: remove the others";
            self.reader.problem(other, text);
        }
        if let Some(own) = own {
            if let Some(family) = family {
                let text = "this field goes with subnets, and `addresses` tell their families themselves: remove it";
                self.reader.problem(&family, text);
            }
            let own = self.own_addresses(&own)?;
            let ip_address_type = match own.iter().any(|address| address.value.is_ipv6()) {
                true => IpAddressType::Dualstack,
                false => IpAddressType::Ipv4,
            };
            return Some(Addresses { own, subnets: None, ip_address_type });
        }
        let types = [IpAddressType::Ipv4, IpAddressType::Dualstack];
        let family = self.word_or(family, &types, IpAddressType::as_str, IpAddressType::default());
        let network = scheme.zip(family.as_ref()).map(|(scheme, family)| Network {
            scheme,
            ip_address_type: family.value,
            present: None,
        });
        let Some(value) = subnets.as_ref().or(mappings.as_ref()) else {
            let at = fields.at.clone();
            let text = "the field `addresses` is missing: write \"addresses\": [\"198.18.0.10\"], or `subnets`, or \
                        `subnet_mappings`";
            self.reader.problem(&at, text);
            return None;
        };
        let entries = match subnets.is_some() {
            true => self.each(value, Self::subnet),
            false => self.each(value, |parser, value| parser.mapping(value, network)),
        };
        if entries.as_ref().is_some_and(|entries| entries.value.is_empty()) {
            self.reader.problem(value, "found an empty list: a load balancer needs at least one subnet");
        }
        Some(Addresses { own: Vec::new(), subnets: Some(entries?), ip_address_type: family?.value })
    }

    fn own_addresses(&mut self, value: &Value<'_>) -> Option<Vec<Placed<IpAddr>>> {
        let read = self.each(value, |parser, value| {
            let address = parser.address(value)?;
            if let Some(first) = parser.addresses.get(&address.value) {
                let text = format!(
                    "found {}, which stands at {first} already: an address is unique over all load balancers",
                    address.value
                );
                parser.reader.problem(value, text);
            } else {
                parser.addresses.insert(address.value, value.path.clone());
            }
            Some(address)
        })?;
        if read.value.is_empty() {
            self.reader.problem(value, "found an empty list: a load balancer needs at least one address");
        }
        Some(read.value)
    }

    fn subnet(&mut self, value: &Value<'_>) -> Option<SubnetEntry> {
        let subnet = self.text(value, "the id of a subnet")?.value;
        let asked = Asked { subnet, allocation_id: None, private_ipv4: None, ipv6: None };
        Some(SubnetEntry { at: value.place(), asked })
    }

    fn mapping(&mut self, value: &Value<'_>, network: Option<Network<'_>>) -> Option<SubnetEntry> {
        let allowed = ["subnet", "allocation_id", "private_ipv4_address", "ipv6_address"];
        let mut fields = self.reader.object(value, &allowed)?;
        let subnet = self.reader.required(&mut fields, "subnet", "\"subnet-a\"");
        let subnet = subnet.and_then(|value| self.text(&value, "the id of a subnet"));
        let allocation_id = self
            .optional(&mut fields, "allocation_id", |parser, value| parser.text(value, "the id of an elastic address"));
        let private_ipv4 = self.optional(&mut fields, "private_ipv4_address", Self::parsed);
        let ipv6 = self.optional(&mut fields, "ipv6_address", Self::parsed);
        let asked = Asked {
            subnet: subnet?.value,
            allocation_id: allocation_id?.map(|it| it.value),
            private_ipv4: private_ipv4?.map(|it| it.value),
            ipv6: ipv6?.map(|it| it.value),
        };
        self.hold(value, subnet_mappings::goes_with(&asked, network?))?;
        Some(SubnetEntry { at: value.place(), asked })
    }

    fn listeners(&mut self, value: &Value<'_>, balancer: &str) -> Option<Vec<ListenerEntry>> {
        let count = self.reader.list(value)?.len();
        if count > Quotas::LISTENERS_PER_LOAD_BALANCER {
            let text = format!(
                "found {count} listeners, allowed are {}: spread them over several load balancers",
                Quotas::LISTENERS_PER_LOAD_BALANCER
            );
            self.reader.problem(value, text);
        }
        let mut taken: HashMap<(bool, u16), String> = HashMap::new();
        let listeners = self.each(value, |parser, value| {
            let listener = parser.listener(value, balancer)?;
            let (protocol, port) = (listener.protocol.value, listener.port.value);
            for udp in [false, true].into_iter().filter(|udp| accepts(protocol, *udp)) {
                if let Some(first) = taken.get(&(udp, port)) {
                    let text = format!(
                        "found {protocol} on port {port}, which {first} has already: a port has one listener for each \
                         protocol, and TCP_UDP takes both"
                    );
                    parser.reader.problem(value, text);
                    break;
                }
                taken.insert((udp, port), value.path.clone());
            }
            Some(listener)
        })?;
        Some(listeners.value)
    }

    fn listener(&mut self, value: &Value<'_>, balancer: &str) -> Option<ListenerEntry> {
        let allowed =
            ["protocol", "port", "target_group", "certificates", "ssl_policy", "alpn_policy", "attributes", "tags"];
        let mut fields = self.reader.object(value, &allowed)?;
        let protocol = self.protocol(&mut fields);
        let port = self.reader.required(&mut fields, "port", "80").and_then(|value| self.port(&value));
        let group = self.reader.required(&mut fields, "target_group", "\"web\"");
        let group = group.and_then(|value| self.group_of(&value, protocol.as_ref(), balancer));
        // The default one may be in the list too.
        let certificates = self.texts(fields.optional("certificates"), "the ARN of a certificate", false);
        let policy = |parser: &mut Self, value: &Value<'_>| parser.text(value, "the name of a policy");
        let ssl_policy = self.optional(&mut fields, "ssl_policy", policy);
        let alpn_policy = self.optional(&mut fields, "alpn_policy", policy);
        let attributes = self.listener_attributes(fields.optional("attributes"));
        let tags = self.tags(fields.optional("tags"));
        Some(ListenerEntry {
            at: value.place(),
            protocol: protocol?,
            port: port?,
            target_group: group?,
            certificates: certificates?,
            ssl_policy: ssl_policy?,
            alpn_policy: alpn_policy?,
            attributes: attributes?,
            tags: tags?,
        })
    }

    /// Attributes of a listener, whose ranges depend on the node.
    fn listener_attributes(&mut self, value: Option<Value<'_>>) -> Option<BTreeMap<String, Placed<String>>> {
        let Some(value) = value else { return Some(BTreeMap::new()) };
        let mut all = BTreeMap::new();
        for (key, at) in self.reader.map(&value)?.into_fields() {
            if let Some(text) = self.attribute(&at) {
                all.insert(key.to_owned(), placed(&at, text));
            }
        }
        Some(all)
    }

    /// The group that a listener names: it exists, and is nobody else's.
    fn group_of(
        &mut self,
        value: &Value<'_>,
        protocol: Option<&Placed<Protocol>>,
        balancer: &str,
    ) -> Option<Placed<String>> {
        let name = self.text(value, "the name of a target group")?;
        let Some(group) = self.groups.get(&name.value) else {
            let names: Vec<&str> = self.groups.keys().map(String::as_str).take(10).collect();
            let there = match self.groups.len() {
                0 => "there are none".to_owned(),
                count if count > names.len() => format!("there are {} and {} more", list(&names), count - names.len()),
                _ => format!("there are {}", list(&names)),
            };
            self.reader.problem(value, format!("found {}, which is no target group: {there}", quote(&name.value)));
            return None;
        };
        if let (Some(protocol), Some(group)) = (protocol, group) {
            let ruled = listeners::protocols(group, protocol.value);
            self.hold(value, ruled);
        }
        let user = self.users.entry(name.value.clone()).or_insert_with(|| balancer.to_owned());
        if user != balancer {
            let text = format!(
                "found {}, which load balancer `{user}` uses: a target group belongs to one load balancer",
                quote(&name.value)
            );
            self.reader.problem(value, text);
        }
        Some(name)
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
    fn parsed<T: std::str::FromStr + Family>(&mut self, value: &Value<'_>) -> Option<Placed<T>> {
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
    fn texts(&mut self, value: Option<Value<'_>>, what: &str, once: bool) -> Option<Placed<Vec<Placed<String>>>> {
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

/// Whether listeners with this protocol get packets of UDP, or of TCP. The API knows one listener a port, whatever its
/// protocol; a file may have two, of which each gets its own packets.
const fn accepts(protocol: Protocol, udp: bool) -> bool {
    match protocol {
        Protocol::Tcp | Protocol::Tls => !udp,
        Protocol::Udp => udp,
        Protocol::TcpUdp => true,
    }
}

/// For error texts: which addresses a type holds.
trait Family {
    const NAME: &str;
}

impl Family for IpAddr {
    const NAME: &str = "an IPv4 or IPv6 address";
}

impl Family for std::net::Ipv4Addr {
    const NAME: &str = "an IPv4 address";
}

impl Family for std::net::Ipv6Addr {
    const NAME: &str = "an IPv6 address";
}

/// Whose resources those of a file are until they are applied.
pub(super) const fn nobody() -> Account {
    Account { region: String::new(), id: String::new() }
}

pub(super) fn placed<T>(value: &Value<'_>, it: T) -> Placed<T> {
    Placed { value: it, at: value.place() }
}
