//! JSON as a tree.
//!
//! `serde_json` leaves a value unread as a slice of the text (`RawValue`); where the slice lies is where the value
//! stands. It is then read level by level, so that nesting costs no stack that is not allowed for.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::tree::{DEEPEST, Field, Finding, Kind, MOST_VALUES, Node, Place, Source, join};

/// The value that a text is.
///
/// # Errors
/// The first place at which it is no JSON.
pub(super) fn parse(source: &Source) -> Result<Node, Finding> {
    let mut parser = Parser { source, values: 0 };
    match serde_json::from_str::<&RawValue>(&source.text) {
        Ok(raw) => parser.node(raw, String::new(), 0),
        Err(error) => Err(parser.syntax(0, String::new(), &error)),
    }
}

struct Parser<'a> {
    source: &'a Source,
    /// How many there are so far.
    values: usize,
}

impl<'a> Parser<'a> {
    fn node(&mut self, raw: &'a RawValue, path: String, depth: usize) -> Result<Node, Finding> {
        let text = raw.get();
        let at = self.offset(text);
        self.values += 1;
        let too_much = match () {
            () if depth > DEEPEST => format!("nested deeper than {DEEPEST} levels, which no configuration is"),
            () if self.values > MOST_VALUES => format!("more than {MOST_VALUES} values, which no configuration has"),
            () => String::new(),
        };
        if !too_much.is_empty() {
            return Err(Finding { at: Place { at, path }, text: too_much });
        }
        let kind = match text.as_bytes().first() {
            Some(b'{') => {
                let pairs: Pairs<'a> = self.read(text, &path)?;
                let mut fields = Vec::with_capacity(pairs.0.len());
                for (key, value) in pairs.0 {
                    let name: String = self.read(key.get(), &path)?;
                    let value = self.node(value, join(&path, &name), depth + 1)?;
                    fields.push(Field { at: self.offset(key.get()), name: name.into(), value });
                }
                Kind::Object(fields)
            }
            Some(b'[') => {
                let raws: Vec<&RawValue> = self.read(text, &path)?;
                let nodes = raws.into_iter().enumerate();
                let nodes = nodes.map(|(i, raw)| self.node(raw, format!("{path}[{i}]"), depth + 1));
                Kind::List(nodes.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Kind::Text(self.read::<String>(text, &path)?.into()),
            Some(b't') => Kind::Bool(true),
            Some(b'f') => Kind::Bool(false),
            Some(b'n') => Kind::Null,
            _ => Kind::Number(text.into()),
        };
        Ok(Node { at, kind })
    }

    fn read<T: Deserialize<'a>>(&self, text: &'a str, path: &str) -> Result<T, Finding> {
        serde_json::from_str(text).map_err(|error| self.syntax(self.offset(text), path.to_owned(), &error))
    }

    /// Where a slice of the text begins.
    fn offset(&self, slice: &str) -> usize {
        let text = &self.source.text;
        (slice.as_ptr() as usize).saturating_sub(text.as_ptr() as usize).min(text.len())
    }

    /// The text at `begin` is no JSON.
    fn syntax(&self, begin: usize, path: String, error: &serde_json::Error) -> Finding {
        let first = self.source.line_of(begin);
        let from = if error.line() <= 1 { begin } else { self.source.begin_of(first + error.line() - 1) };
        let mut at = (from + error.column().saturating_sub(1)).min(self.source.text.len());
        while !self.source.text.is_char_boundary(at) {
            at -= 1;
        }
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or(&text);
        let end = if error.is_eof() { ": the file ends too early" } else { "" };
        Finding { at: Place { at, path }, text: format!("not JSON: {what}{end}") }
    }
}

/// The keys and values of an object in their order, repeated ones too.
struct Pairs<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Collect<'a> {
            type Value = Pairs<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'a>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect(PhantomData))
    }
}
