//! Load balancers of a file, and the addresses that they ask for.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;

use super::{
    parse::{Names, Parser, nobody},
    shape::{BalancerEntry, Placed, SubnetEntry},
    tree::{Object, Value},
};
use crate::{
    model::{Arn, IpAddressType, LoadBalancer, Scheme},
    ops::{
        load_balancer_attributes, names,
        subnet_mappings::{self, Asked, Network},
    },
};

/// Where a load balancer's addresses are from.
struct Addresses {
    own: Vec<Placed<IpAddr>>,
    subnets: Option<Placed<Vec<SubnetEntry>>>,
    ip_address_type: IpAddressType,
}

impl Parser<'_> {
    pub fn balancer(&mut self, value: &Value<'_>, names: &mut Names) -> Option<BalancerEntry> {
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
}
