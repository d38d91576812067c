//! JSON values that know where they stand.
//!
//! `serde_json` leaves a value unread as a slice of the text (`RawValue`); where the slice lies is where the value
//! stands. Each level is read when the rules ask for it, so nesting that nobody asked for costs no stack.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    marker::PhantomData,
    ops::RangeInclusive,
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    file::MAX_BYTES,
    problem::{Invalid, Problem},
};

/// A value of the file: its text and its path.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    text: &'a str,
    /// JSON path.
    pub path: String,
}

/// The fields of an object that the rules know.
pub(super) struct Object<'a> {
    /// The object itself.
    pub at: Value<'a>,
    fields: BTreeMap<String, Value<'a>>,
}

impl<'a> Object<'a> {
    /// A field that may be left out.
    pub fn optional(&mut self, name: &str) -> Option<Value<'a>> {
        self.fields.remove(name)
    }

    /// All fields, for objects whose keys are data.
    pub fn into_fields(self) -> BTreeMap<String, Value<'a>> {
        self.fields
    }
}

/// Reads values and collects what is wrong.
pub(super) struct Reader<'a> {
    text: &'a str,
    file: &'a str,
    /// Offsets at which lines begin.
    lines: Vec<usize>,
    found: Vec<Finding>,
    /// Problems beyond [`MOST`].
    omitted: usize,
}

/// How many problems are kept, so that a file made of nothing else costs no memory.
const MOST: usize = 10_000;

/// A problem whose place is not yet counted in lines.
struct Finding {
    offset: usize,
    path: String,
    text: String,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str, file: &'a str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, file, lines, found: Vec::new(), omitted: 0 }
    }

    /// The value that the whole text is, if it is JSON.
    pub fn root(&mut self) -> Option<Value<'a>> {
        if let Some(why) = self.not_text() {
            self.report(why.0, String::new(), why.1);
            return None;
        }
        match serde_json::from_str::<&RawValue>(self.text) {
            Ok(raw) => Some(Value { text: raw.get(), path: String::new() }),
            Err(error) => {
                self.syntax(0, String::new(), &error);
                None
            }
        }
    }

    /// What `serde_json` would explain badly: offset and sentence.
    fn not_text(&self) -> Option<(usize, String)> {
        let sentence = |at, text: &str| Some((at, text.to_owned()));
        if self.text.trim().is_empty() {
            return sentence(
                0,
                r#"the file is empty; an empty configuration is {"load_balancers":[],"target_groups":[]}"#,
            );
        }
        if self.text.len() as u64 > MAX_BYTES {
            return sentence(0, "larger than 16 MiB, which no configuration is: is it the right file?");
        }
        if self.text.starts_with('\u{feff}') {
            return sentence(0, "the file begins with a byte order mark: save it as UTF-8 without one");
        }
        let nul = self.text.find('\0')?;
        sentence(nul, "found a NUL byte: this is no JSON text")
    }

    /// The problems found, or `value` if there are none.
    pub fn finish<T>(mut self, value: Option<T>) -> Result<T, Invalid> {
        if let Some(value) = value.filter(|_| self.found.is_empty()) {
            return Ok(value);
        }
        let mut found = std::mem::take(&mut self.found);
        found.sort_by_key(|finding| finding.offset);
        self.omitted += found.len().saturating_sub(Invalid::SHOWN);
        found.truncate(Invalid::SHOWN);
        let problems = found.into_iter().map(|Finding { offset, path, text }| {
            let (line, column) = self.position(offset);
            Problem { file: self.file.to_owned(), line, column, path, text }
        });
        Err(Invalid::new(problems.collect(), self.omitted))
    }

    /// Says that `text` is wrong with `value`.
    pub fn problem(&mut self, value: &Value<'a>, text: impl Into<String>) {
        self.report(self.offset(value.text), value.path.clone(), text.into());
    }

    fn report(&mut self, offset: usize, path: String, text: String) {
        if self.found.len() < MOST {
            self.found.push(Finding { offset, path, text });
        } else {
            self.omitted += 1;
        }
    }

    /// Where a slice of the text begins.
    fn offset(&self, slice: &str) -> usize {
        (slice.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len())
    }

    /// Line and column, from 1, of an offset.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|begin| *begin <= offset).max(1);
        let begin = self.lines[line - 1];
        let column = self.text.as_bytes()[begin..offset].iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1;
        (line, column)
    }

    /// Says that the text at `begin` is no JSON.
    fn syntax(&mut self, begin: usize, path: String, error: &serde_json::Error) {
        let first = self.lines.partition_point(|line| *line <= begin).max(1) - 1;
        let line = first + error.line().saturating_sub(1);
        let from = if error.line() <= 1 { begin } else { self.lines.get(line).copied().unwrap_or(begin) };
        let mut offset = (from + error.column().saturating_sub(1)).min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or(&text);
        let end = if error.is_eof() { ": the file ends too early" } else { "" };
        self.report(offset, path, format!("not JSON: {what}{end}"));
    }

    /// An object, its fields not yet looked at.
    pub fn map(&mut self, value: &Value<'a>) -> Option<Object<'a>> {
        let pairs: Pairs<'a, &RawValue> = self.read(value, '{', "an object")?;
        let mut fields = BTreeMap::new();
        for (key, raw) in pairs.0 {
            let at = Value { text: key.get(), path: value.path.clone() };
            let Some(name) = self.read::<String>(&at, '"', "a name") else { continue };
            let path = join(&value.path, &name);
            match fields.entry(name) {
                Entry::Occupied(_) => self.problem(&Value { path, ..at }, "this field is given twice"),
                Entry::Vacant(field) => {
                    field.insert(Value { text: raw.get(), path });
                }
            }
        }
        Some(Object { at: value.clone(), fields })
    }

    /// An object with these fields and no others.
    pub fn object(&mut self, value: &Value<'a>, allowed: &[&str]) -> Option<Object<'a>> {
        let object = self.map(value)?;
        for (name, field) in &object.fields {
            if !allowed.contains(&name.as_str()) {
                self.problem(field, format!("found the unknown field {}, allowed are {}", quote(name), list(allowed)));
            }
        }
        Some(object)
    }

    /// A field that must be there.
    pub fn required(&mut self, object: &mut Object<'a>, name: &str, example: &str) -> Option<Value<'a>> {
        let found = object.optional(name);
        if found.is_none() {
            self.problem(&object.at.clone(), format!("the field `{name}` is missing: write \"{name}\": {example}"));
        }
        found
    }

    /// The values of a list.
    pub fn list(&mut self, value: &Value<'a>) -> Option<Vec<Value<'a>>> {
        let raws: Vec<&RawValue> = self.read(value, '[', "a list")?;
        let at = |(i, raw): (usize, &'a RawValue)| Value { text: raw.get(), path: format!("{}[{i}]", value.path) };
        Some(raws.into_iter().enumerate().map(at).collect())
    }

    /// A string.
    pub fn string(&mut self, value: &Value<'a>, allowed: &str) -> Option<String> {
        self.read(value, '"', allowed)
    }

    /// A whole number in a range.
    pub fn integer(&mut self, value: &Value<'a>, range: RangeInclusive<u16>) -> Option<u16> {
        let number = value.text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let (first, last) = range.into_inner();
            self.problem(value, format!("found {}, allowed are {first} to {last}", value.found()));
        }
        number
    }

    /// What `value` is, if it begins like `allowed` does.
    fn read<T: Deserialize<'a>>(&mut self, value: &Value<'a>, begins: char, allowed: &str) -> Option<T> {
        if !value.text.starts_with(begins) {
            self.problem(value, format!("found {}, allowed is {allowed}", value.found()));
            return None;
        }
        match serde_json::from_str(value.text) {
            Ok(read) => Some(read),
            Err(error) => {
                self.syntax(self.offset(value.text), value.path.clone(), &error);
                None
            }
        }
    }
}

impl Value<'_> {
    /// What stands there, for error texts: short values in full, others by their kind.
    pub fn found(&self) -> String {
        const LONGEST: usize = 48;
        match self.text.as_bytes().first() {
            Some(b'{') => "an object".to_owned(),
            Some(b'[') => "a list".to_owned(),
            _ if self.text.chars().count() > LONGEST => {
                let start: String = self.text.chars().take(LONGEST).collect();
                format!("{start}... ({} characters)", self.text.chars().count())
            }
            _ => self.text.to_owned(),
        }
    }
}

/// A path one name longer. Names with dots are keys of attributes and stand in brackets.
fn join(path: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match (path, !name.is_empty() && name.chars().all(plain)) {
        ("", true) => name.to_owned(),
        (_, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{}]", quote(name)),
    }
}

/// Text in quotes and on one line, cut if it is long.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{:?}...", &text[..cut]),
        None => format!("{text:?}"),
    }
}

/// Names for error texts: `a`, `b`, `c`.
pub(super) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The keys and values of an object in their order, repeated ones too.
struct Pairs<'a, V>(Vec<(&'a RawValue, V)>);

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Pairs<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect<'a, V>(PhantomData<(&'a (), V)>);
        impl<'de: 'a, 'a, V: Deserialize<'de>> Visitor<'de> for Collect<'a, V> {
            type Value = Pairs<'a, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'a, V>, A::Error> {
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
