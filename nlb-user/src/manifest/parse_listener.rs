//! Listeners of a file.

use std::collections::{BTreeMap, HashMap};

use super::{
    parse::{Parser, placed},
    shape::{ListenerEntry, Placed},
    tree::{Value, list, quote},
};
use crate::{
    model::{Protocol, Quotas},
    ops::listeners,
};

impl Parser<'_> {
    pub fn listeners(&mut self, value: &Value<'_>, balancer: &str) -> Option<Vec<ListenerEntry>> {
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
