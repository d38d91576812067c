//! Target groups of lb.json.

use std::collections::HashMap;

use super::{Target, TargetGroup, TargetType, attributes, parse::Parser, rules};
use crate::manifest::tree::{Value, quote};

impl<'a> Parser<'_, 'a> {
    pub fn group(&mut self, value: &Value<'a>, names: &mut HashMap<String, String>) -> Option<TargetGroup> {
        let allowed = ["name", "protocol", "port", "target_type", "attributes", "targets"];
        let mut fields = self.reader.object(value, &allowed)?;
        let name = self.name(&mut fields, names, rules::name);
        let protocol = self.protocol(&mut fields);
        let port = self.reader.required(&mut fields, "port", "8080").and_then(|value| self.port(&value));
        let target_type = self.reader.required(&mut fields, "target_type", "\"ip\"");
        let target_type = target_type.and_then(|value| self.target_type(&value));
        let read = attributes::of_group(self.reader, fields.optional("attributes").as_ref(), protocol);
        let targets = self.reader.required(&mut fields, "targets", "[...]");
        let targets = targets.and_then(|value| self.targets(&value, port));
        if let Some(name) = &name {
            self.groups.insert(name.clone(), protocol);
        }
        let read = read?;
        Some(TargetGroup {
            name: name?,
            protocol: protocol?,
            port: port?,
            target_type: target_type?,
            preserve_client_ip: read.preserve_client_ip,
            unhealthy_routing: read.unhealthy_routing,
            attributes: read.others,
            targets: targets?,
        })
    }

    fn targets(&mut self, value: &Value<'a>, group_port: Option<u16>) -> Option<Vec<Target>> {
        let values = self.reader.list(value)?;
        let mut seen: HashMap<Target, String> = HashMap::new();
        let read: Vec<Option<Target>> = values
            .iter()
            .map(|value| {
                let mut fields = self.reader.object(value, &["id", "port"])?;
                let id = self.reader.required(&mut fields, "id", "\"10.0.1.11\"").and_then(|value| {
                    let address = self.address(&value)?;
                    self.targets.push((address, value));
                    Some(address)
                });
                let port = fields.optional("port").map_or(group_port, |value| self.port(&value));
                let target = Target { id: id?, port: port? };
                if let Some(first) = seen.get(&target) {
                    let text = format!("found {target}, which stands at {first} already: a target is registered once");
                    self.reader.problem(value, text);
                } else {
                    seen.insert(target, value.path.clone());
                }
                Some(target)
            })
            .collect();
        read.into_iter().collect()
    }

    fn target_type(&mut self, value: &Value<'a>) -> Option<TargetType> {
        let text = self.reader.string(value, "\"ip\"")?;
        match text.as_str() {
            "ip" => return Some(TargetType::Ip),
            "instance" | "alb" => {
                let text = format!(
                    "found {text:?}, but such targets are not there yet: use \"ip\" and name targets by address"
                );
                self.reader.problem(value, text);
            }
            _ => self.reader.problem(value, format!("found {}, allowed is \"ip\"", quote(&text))),
        }
        None
    }
}
