//! An exported file as text, JSON or YAML, with what names a thing first.

use saphyr::{Mapping, Scalar, Yaml, YamlEmitter};
use serde::{Serialize, Serializer, ser::SerializeMap as _};
use serde_json::{Map, Value};

/// The order of fields; others follow in the order of the alphabet.
const ORDER: [&str; 22] = [
    "load_balancers",
    "target_groups",
    "name",
    "id",
    "subnet",
    "protocol",
    "port",
    "availability_zone",
    "target_group",
    "target_type",
    "scheme",
    "ip_address_type",
    "vpc",
    "addresses",
    "subnets",
    "subnet_mappings",
    "security_groups",
    "health_check",
    "attributes",
    "tags",
    "listeners",
    "targets",
];

/// The fields of an object in the order of the file.
fn ordered(object: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<_> = object.iter().collect();
    let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
    fields.sort_by(|(one, _), (other, _)| (rank(one), one).cmp(&(rank(other), other)));
    fields
}

struct Ordered<'a>(&'a Value);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(object) => {
                let mut map = serializer.serialize_map(Some(object.len()))?;
                for (name, value) in ordered(object) {
                    map.serialize_entry(name, &Ordered(value))?;
                }
                map.end()
            }
            Value::Array(list) => serializer.collect_seq(list.iter().map(Ordered)),
            value => value.serialize(serializer),
        }
    }
}

/// What [`super::export`] gives, as JSON of many lines.
pub fn to_json(manifest: &Value) -> String {
    #[expect(clippy::expect_used, reason = "a value is always JSON")]
    let text = serde_json::to_string_pretty(&Ordered(manifest)).expect("a value is JSON");
    text + "\n"
}

/// What [`super::export`] gives, as YAML.
pub fn to_yaml(manifest: &Value) -> String {
    let mut text = String::new();
    #[expect(clippy::expect_used, reason = "writing to a string does not fail")]
    YamlEmitter::new(&mut text).dump(&yaml(manifest)).expect("YAML can be written");
    // One document needs no mark where it begins.
    text.strip_prefix("---\n").unwrap_or(&text).to_owned() + "\n"
}

fn yaml(value: &Value) -> Yaml<'_> {
    match value {
        Value::Null => Yaml::Value(Scalar::Null),
        Value::Bool(bool) => Yaml::Value(Scalar::Boolean(*bool)),
        Value::Number(number) => Yaml::Value(match number.as_i64() {
            Some(number) => Scalar::Integer(number),
            None => Scalar::String(number.to_string().into()),
        }),
        Value::String(text) => string(text),
        Value::Array(list) => Yaml::Sequence(list.iter().map(yaml).collect()),
        Value::Object(object) => {
            let fields = ordered(object).into_iter().map(|(name, value)| (string(name), yaml(value)));
            Yaml::Mapping(fields.collect::<Mapping<'_>>())
        }
    }
}

fn string(text: &str) -> Yaml<'_> {
    Yaml::Value(Scalar::String(text.into()))
}
