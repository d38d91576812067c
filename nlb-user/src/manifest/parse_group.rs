//! Target groups of a file, and their targets.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::{
    diff,
    parse::{Names, Parser, nobody},
    shape::{GroupEntry, Placed, TargetEntry},
    terms,
    tree::{Object, Value},
};
use crate::{
    model::{Arn, Family, HealthCheck, Protocol, TargetGroup, TargetId, TargetKey, TargetType},
    ops::{
        health_check::{self, Matcher, Wanted},
        names, target_group_attributes, target_groups, targets,
    },
};

impl Parser<'_> {
    pub fn group(&mut self, value: &Value<'_>, names: &mut Names) -> Option<GroupEntry> {
        let allowed = [
            "name",
            "protocol",
            "port",
            "target_type",
            "vpc",
            "ip_address_type",
            "health_check",
            "attributes",
            "tags",
            "targets",
        ];
        let mut fields = self.reader.object(value, &allowed)?;
        let name = self.name(&mut fields, names, names::target_group);
        if let Some(name) = &name {
            self.groups.insert(name.value.clone(), None);
        }
        let (protocol_at, family_at) = (fields.get("protocol"), fields.get("ip_address_type"));
        let protocol = self.protocol(&mut fields);
        let port = self.reader.required(&mut fields, "port", "8080").and_then(|value| self.port(&value));
        let types = [TargetType::Instance, TargetType::Ip, TargetType::Alb];
        let target_type = self.reader.required(&mut fields, "target_type", "\"ip\"");
        let target_type = target_type.and_then(|value| self.word(&value, &types, TargetType::as_str));
        let vpc = self.optional(&mut fields, "vpc", |parser, value| parser.text(value, "the id of a VPC"));
        let family = self.family(&mut fields, target_type.as_ref());
        let known = target_type.as_ref().map_or(TargetType::Ip, |it| it.value);
        let health_check = match fields.optional("health_check") {
            Some(value) => self.health_check(&value, known),
            None => self.hold(value, health_check::settled(&Wanted::default(), known)),
        };
        let attributes = fields.optional("attributes");
        let tags = self.tags(fields.optional("tags"));
        let targets = self.reader.required(&mut fields, "targets", "[...]");
        // What is missing is made up: the rest is looked at all the same.
        let text = name.as_ref().map_or("", |name| &name.value);
        let mut built = TargetGroup {
            arn: Arn::target_group(&nobody(), text, ""),
            name: text.to_owned(),
            target_type: known,
            protocol: protocol.as_ref().map_or(Protocol::Tcp, |it| it.value),
            port: port.as_ref().map_or(1, |port| port.value),
            vpc: vpc.as_ref().and_then(|vpc| vpc.as_ref().map(|vpc| vpc.value.clone())),
            family: family.unwrap_or(Family::Any),
            health_check: match &health_check {
                Some(check) => check.clone(),
                None => health_check::settled(&Wanted::default(), known).ok()?,
            },
            attributes: BTreeMap::new(),
            tags: tags.clone().unwrap_or_default(),
            targets: BTreeMap::new(),
            created: Timestamp::UNIX_EPOCH,
        };
        // Without its kind there is no telling what goes with it.
        let kind = protocol.is_some() && target_type.is_some() && family.is_some();
        if kind {
            let at = family_at.as_ref().or(protocol_at.as_ref()).unwrap_or(value);
            self.hold(at, target_groups::goes_together(&built));
            self.group_attributes(attributes, &mut built);
        }
        let targets = targets.and_then(|value| self.targets(&value, &built, kind));
        if let Some(name) = &name {
            self.groups.insert(name.value.clone(), kind.then(|| built.clone()));
        }
        let whole = kind && port.is_some() && health_check.is_some() && tags.is_some();
        Some(GroupEntry { at: value.place(), name: name?, built, vpc: vpc?, targets: targets? }).filter(|_| whole)
    }

    /// The family of a group's targets. A file can leave it open.
    fn family(&mut self, fields: &mut Object<'_>, target_type: Option<&Placed<TargetType>>) -> Option<Family> {
        let families = [Family::Ipv4, Family::Ipv6];
        let text = |family| if family == Family::Ipv6 { "ipv6" } else { "ipv4" };
        let open = match target_type {
            Some(Placed { value: TargetType::Ip, .. }) => Family::Any,
            _ => Family::Ipv4,
        };
        self.word_or(fields.optional("ip_address_type"), &families, text, open).map(|family| family.value)
    }

    /// Attributes of the group, one by one, so that each is told where it stands.
    fn group_attributes(&mut self, value: Option<Value<'_>>, built: &mut TargetGroup) {
        let Some(object) = value.and_then(|value| self.reader.map(&value)) else { return };
        for (key, at) in object.into_fields() {
            let Some(text) = self.attribute(&at) else { continue };
            let before = built.attributes.clone();
            if self.hold(&at, target_group_attributes::set(built, key, &text)).is_none() {
                built.attributes = before;
            }
        }
    }

    fn health_check(&mut self, value: &Value<'_>, target_type: TargetType) -> Option<HealthCheck> {
        let allowed = [
            "protocol",
            "port",
            "path",
            "matcher",
            "interval_seconds",
            "timeout_seconds",
            "healthy_threshold",
            "unhealthy_threshold",
        ];
        let mut fields = self.reader.object(value, &allowed)?.into_fields();
        let mut wanted = Wanted::default();
        let mut good = true;
        for (name, at) in &fields {
            let number = |parser: &mut Self| parser.reader.integer(at, 0..=u16::MAX).map(i64::from);
            let text = |parser: &mut Self| parser.reader.string(at, "a string");
            let read = match *name {
                "protocol" => text(self).map(|it| wanted.protocol = Some(it)),
                "port" => self.port_setting(at).map(|it| wanted.port = Some(it)),
                "path" => text(self).map(|it| wanted.path = Some(it)),
                "matcher" => {
                    text(self).map(|it| wanted.matcher = Some(Matcher { http_code: Some(it), grpc_code: None }))
                }
                "interval_seconds" => number(self).map(|it| wanted.interval_s = Some(it)),
                "timeout_seconds" => number(self).map(|it| wanted.timeout_s = Some(it)),
                "healthy_threshold" => number(self).map(|it| wanted.healthy_threshold = Some(it)),
                "unhealthy_threshold" => number(self).map(|it| wanted.unhealthy_threshold = Some(it)),
                _ => None,
            };
            good &= read.is_some();
        }
        // Each refusal begins with what is refused: it is told there and left out, and the rest is looked at again.
        loop {
            let fault = match health_check::settled(&wanted, target_type) {
                Ok(check) => return good.then_some(check),
                Err(fault) => terms::translate(&fault),
            };
            good = false;
            let refused = fields.keys().copied().find(|name| fault.split(' ').next() == Some(name));
            let at = refused.and_then(|name| fields.remove(name));
            self.reader.problem(at.as_ref().unwrap_or(value), fault);
            match refused {
                Some("protocol") => wanted.protocol = None,
                Some("port") => wanted.port = None,
                Some("path") => wanted.path = None,
                Some("matcher") => wanted.matcher = None,
                Some("interval_seconds") => wanted.interval_s = None,
                Some("timeout_seconds") => wanted.timeout_s = None,
                Some("healthy_threshold") => wanted.healthy_threshold = None,
                Some("unhealthy_threshold") => wanted.unhealthy_threshold = None,
                _ => return None,
            }
        }
    }

    /// A port's number, or the word for the port of traffic.
    fn port_setting(&mut self, value: &Value<'_>) -> Option<String> {
        match value.number() {
            Some(number) => Some(number.to_owned()),
            None => self.reader.string(value, "a port, or \"traffic-port\""),
        }
    }

    /// The targets of a group; whether it is `known` which kind it is.
    fn targets(&mut self, value: &Value<'_>, group: &TargetGroup, known: bool) -> Option<Placed<Vec<TargetEntry>>> {
        let mut seen: HashMap<TargetKey, String> = HashMap::new();
        self.each(value, |parser, value| {
            let mut fields = parser.reader.object(value, &["id", "port", "availability_zone"])?;
            let id = parser.reader.required(&mut fields, "id", "\"10.0.1.11\"").and_then(|value| {
                let text = parser.reader.string(&value, "a target's id in quotes")?;
                Some((text, value))
            });
            let port = parser.optional(&mut fields, "port", Self::port);
            let zone = parser.optional(&mut fields, "availability_zone", |parser, value| parser.text(value, "a zone"));
            let ((id, at), port) = (id?, port?.map(|port| port.value.into()));
            let key = targets::key(group, &id, port);
            let key = if known { parser.hold(&at, key)? } else { key.ok()? };
            if let TargetId::Ip(address) = key.id
                && let Some(why) = targets::unusable(address)
            {
                parser.reader.problem(&at, format!("{address} is no target: {why}"));
            }
            if let Some(first) = seen.get(&key) {
                let target = diff::target(&key);
                let text = format!("found {target}, which stands at {first} already: a target is registered once");
                parser.reader.problem(value, text);
            } else {
                seen.insert(key.clone(), value.path.clone());
            }
            Some(TargetEntry { at: value.place(), key: Placed { value: key, at: at.place() }, zone: zone? })
        })
    }
}
