//! What a caller gave, read as an operation's input.
//!
//! Input comes as a tree whose leaves are text (a form of the Query protocol) or JSON values (a command): `8080` and
//! `"8080"` are the same number here. A list without members may be written as empty text, as the Query protocol does.

use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, IntoDeserializer, Unexpected, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};

use crate::model::Fault;

/// Reads an operation's input.
///
/// # Errors
/// `ValidationError` if a parameter is missing, unknown, or of another type.
pub fn read<T: DeserializeOwned>(input: &Value) -> Result<T, Fault> {
    let none = Value::Object(Map::new());
    T::deserialize(Param(if input.is_null() { &none } else { input })).map_err(|Unreadable(why)| Fault::validation(why))
}

/// Why input could not be read.
#[derive(Debug)]
struct Unreadable(String);

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreadable {}

impl de::Error for Unreadable {
    fn custom<T: std::fmt::Display>(why: T) -> Self {
        Self(why.to_string())
    }

    fn missing_field(name: &'static str) -> Self {
        Self(format!("the parameter {name} is required"))
    }

    fn unknown_field(name: &str, allowed: &'static [&'static str]) -> Self {
        Self(format!("unknown parameter {name}: this operation has {}", allowed.join(", ")))
    }
}

/// A parameter.
#[derive(Clone, Copy)]
struct Param<'a>(&'a Value);

impl<'de> IntoDeserializer<'de, Unreadable> for Param<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Param<'_> {
    fn unexpected(&self) -> Unexpected<'_> {
        match self.0 {
            Value::Null => Unexpected::Unit,
            Value::Bool(bool) => Unexpected::Bool(*bool),
            Value::Number(number) => number.as_i64().map_or(Unexpected::Other("number"), Unexpected::Signed),
            Value::String(text) => Unexpected::Str(text),
            Value::Array(_) => Unexpected::Seq,
            Value::Object(_) => Unexpected::Map,
        }
    }
}

impl<'de> Deserializer<'de> for Param<'de> {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Bool(_) => self.deserialize_bool(visitor),
            Value::Number(_) => self.deserialize_i64(visitor),
            Value::String(text) => visitor.visit_str(text),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        let number = match self.0 {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(number) => visitor.visit_i64(number),
            None => Err(de::Error::invalid_type(self.unexpected(), &"a whole number")),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0 {
            Value::Bool(bool) => visitor.visit_bool(*bool),
            Value::String(text) if text == "true" => visitor.visit_bool(true),
            Value::String(text) if text == "false" => visitor.visit_bool(false),
            _ => Err(de::Error::invalid_type(self.unexpected(), &"true or false")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0 {
            Value::String(text) => visitor.visit_str(text),
            Value::Number(number) => visitor.visit_string(number.to_string()),
            Value::Bool(bool) => visitor.visit_string(bool.to_string()),
            _ => Err(de::Error::invalid_type(self.unexpected(), &"text")),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        let members = match self.0 {
            Value::Array(members) => members.as_slice(),
            Value::String(text) if text.is_empty() => &[],
            _ => return Err(de::Error::invalid_type(self.unexpected(), &"a list")),
        };
        let mut list = SeqDeserializer::new(members.iter().map(Param));
        let value = visitor.visit_seq(&mut list)?;
        list.end()?;
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unreadable> {
        let Value::Object(fields) = self.0 else {
            return Err(de::Error::invalid_type(self.unexpected(), &"parameters"));
        };
        let mut map = MapDeserializer::new(fields.iter().map(|(name, value)| (name.as_str(), Param(value))));
        let value = visitor.visit_map(&mut map)?;
        map.end()?;
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unreadable> {
        self.deserialize_map(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unreadable> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct enum
        identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize, PartialEq, Eq, Debug)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Input {
        name: String,
        port: Option<i64>,
        #[serde(default)]
        subnets: Vec<String>,
        enabled: Option<bool>,
    }

    #[test]
    fn text_and_values_are_the_same() {
        let expected = Input { name: "web".into(), port: Some(80), subnets: vec!["a".into()], enabled: Some(true) };
        let text = json!({"Name": "web", "Port": "80", "Subnets": ["a"], "Enabled": "true"});
        let values = json!({"Name": "web", "Port": 80, "Subnets": ["a"], "Enabled": true});
        assert_eq!(read::<Input>(&text).unwrap(), expected);
        assert_eq!(read::<Input>(&values).unwrap(), expected);
        let empty = read::<Input>(&json!({"Name": "web", "Subnets": ""})).unwrap();
        assert_eq!(empty.subnets, [] as [&str; 0]);
    }

    #[test]
    fn refusals() {
        let message = |input: Value| read::<Input>(&input).unwrap_err().message;
        assert_eq!(message(json!({})), "the parameter Name is required");
        assert_eq!(
            message(json!({"Name": "web", "Nmae": "x"})),
            "unknown parameter Nmae: this operation has Name, Port, Subnets, Enabled"
        );
        assert!(message(json!({"Name": "web", "Port": "eighty"})).contains("expected a whole number"));
        assert!(message(json!({"Name": {"x": "y"}})).contains("expected text"));
    }
}
