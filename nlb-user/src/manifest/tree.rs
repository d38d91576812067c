//! The values of a file as one tree, whatever it was written in: every value knows where it stands.
//!
//! [`Reader`] looks into them, says what is wrong with them, and keeps all of that until the end.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ops::RangeInclusive,
};

use super::{
    file::MAX_BYTES,
    json,
    problem::{Invalid, Problem},
    yaml,
};

/// The value that a file is.
///
/// # Errors
/// The place at which it stops to be one.
pub(crate) fn load(source: &Source) -> Result<Node, Invalid> {
    let at = |at| Place { at, path: String::new() };
    let parsed = match (not_text(source), source.format) {
        (Some((offset, text)), _) => Err(Finding { at: at(offset), text }),
        (None, Format::Json) => json::parse(source),
        (None, Format::Yaml) => {
            yaml::parse(source).and_then(|root| root.ok_or_else(|| Finding { at: at(0), text: empty(source.format) }))
        }
    };
    let mut problems = Problems::default();
    let root = parsed.map_err(|Finding { at, text }| problems.report(at, text)).ok();
    problems.finish(source, root)
}

/// What the parsers would explain badly: offset and sentence.
fn not_text(Source { text, format, .. }: &Source) -> Option<(usize, String)> {
    let sentence = |at, text: &str| Some((at, text.to_owned()));
    if text.trim().is_empty() {
        return Some((0, empty(*format)));
    }
    if text.len() as u64 > MAX_BYTES {
        return sentence(0, "larger than 16 MiB, which no configuration is: is it the right file?");
    }
    if text.starts_with('\u{feff}') {
        return sentence(0, "the file begins with a byte order mark: save it as UTF-8 without one");
    }
    let nul = text.find('\0')?;
    sentence(nul, "found a NUL byte: this is no text")
}

fn empty(format: Format) -> String {
    let example = match format {
        Format::Json => r#"{"load_balancers":[],"target_groups":[]}"#,
        Format::Yaml => "{load_balancers: [], target_groups: []}",
    };
    format!("the file is empty; an empty configuration is {example}")
}

/// A file: its text, and where its lines begin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Source {
    /// As it was named.
    pub file: String,
    /// What it holds.
    pub text: String,
    /// What it is written in.
    pub format: Format,
    /// Offsets at which lines begin.
    lines: Vec<usize>,
}

/// What a file is written in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Json,
    Yaml,
}

impl Source {
    /// The format is told by the file's name.
    pub fn new(text: &str, file: &str) -> Self {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let format = if file.ends_with(".yaml") || file.ends_with(".yml") { Format::Yaml } else { Format::Json };
        Self { file: file.to_owned(), text: text.to_owned(), format, lines }
    }

    /// Line and column, from 1, of an offset.
    fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_of(offset);
        let begin = self.lines[line - 1];
        let column = self.text.as_bytes()[begin..offset].iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1;
        (line, column)
    }

    /// The line, from 1, that an offset is on.
    pub fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|begin| *begin <= offset).max(1)
    }

    /// Where a line, from 1, begins; the end of the text if there are fewer.
    pub fn begin_of(&self, line: usize) -> usize {
        self.lines.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len())
    }
}

/// A value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Node {
    /// Offset of its first character.
    pub at: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    /// As it is written.
    Number(Box<str>),
    Text(Box<str>),
    List(Vec<Node>),
    Object(Vec<Field>),
}

/// A field of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Field {
    /// Offset of its name.
    pub at: usize,
    /// Its name; the same object may hold another one of the same name.
    pub name: Box<str>,
    /// Its value.
    pub value: Node,
}

/// The most values that a file may hold: many times what a node can serve.
pub(crate) const MOST_VALUES: usize = 2_000_000;
/// The deepest that values may stand in each other: many times what a configuration needs.
pub(crate) const DEEPEST: usize = 32;

/// A value on the way there.
#[derive(Clone, Debug)]
pub(crate) struct Value<'a> {
    node: &'a Node,
    /// JSON path.
    pub path: String,
}

/// Where a value stands: to say later what is wrong with it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Place {
    /// Offset of its first character.
    pub at: usize,
    /// JSON path.
    pub path: String,
}

/// The fields of an object.
pub(crate) struct Object<'a> {
    /// The object itself.
    pub at: Value<'a>,
    fields: BTreeMap<&'a str, Value<'a>>,
}

impl<'a> Object<'a> {
    /// A field that may be left out.
    pub fn optional(&mut self, name: &str) -> Option<Value<'a>> {
        self.fields.remove(name)
    }

    /// A field that is still to be read.
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.fields.get(name).cloned()
    }

    /// All fields, for objects whose keys are data.
    pub fn into_fields(self) -> BTreeMap<&'a str, Value<'a>> {
        self.fields
    }
}

/// What is wrong with a file, so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<Finding>,
    /// Problems beyond [`MOST`].
    omitted: usize,
}

/// How many problems are kept, so that a file made of nothing else costs no memory.
const MOST: usize = 10_000;

/// A problem whose place is not yet counted in lines.
#[derive(Debug)]
pub(crate) struct Finding {
    pub at: Place,
    pub text: String,
}

impl Problems {
    /// Says that `text` is wrong with what stands at a place.
    pub fn report(&mut self, at: Place, text: impl Into<String>) {
        if self.found.len() < MOST {
            self.found.push(Finding { at, text: text.into() });
        } else {
            self.omitted += 1;
        }
    }

    /// `value`, or the problems if there are some.
    pub fn finish<T>(mut self, source: &Source, value: Option<T>) -> Result<T, Invalid> {
        if let Some(value) = value.filter(|_| self.found.is_empty()) {
            return Ok(value);
        }
        self.found.sort_by_key(|finding| finding.at.at);
        let omitted = self.omitted + self.found.len().saturating_sub(Invalid::SHOWN);
        self.found.truncate(Invalid::SHOWN);
        let problems = self.found.into_iter().map(|Finding { at, text }| {
            let (line, column) = source.position(at.at);
            Problem { file: source.file.clone(), line, column, path: at.path, text }
        });
        Err(Invalid::new(problems.collect(), omitted))
    }
}

/// Reads values and collects what is wrong.
pub(crate) struct Reader {
    format: Format,
    /// What is wrong so far.
    pub problems: Problems,
}

impl Reader {
    pub fn new(source: &Source) -> Self {
        Self { format: source.format, problems: Problems::default() }
    }

    /// Says that `text` is wrong with `value`.
    pub fn problem(&mut self, value: &Value<'_>, text: impl Into<String>) {
        self.problems.report(value.place(), text);
    }

    /// An object, its fields not yet looked at.
    pub fn map<'a>(&mut self, value: &Value<'a>) -> Option<Object<'a>> {
        let Kind::Object(all) = &value.node.kind else { return self.other(value, "an object") };
        let mut fields = BTreeMap::new();
        for field in all {
            let path = join(&value.path, &field.name);
            match fields.entry(&*field.name) {
                Entry::Occupied(_) => {
                    self.problems.report(Place { at: field.at, path }, "this field is given twice");
                }
                Entry::Vacant(free) => {
                    free.insert(Value { node: &field.value, path });
                }
            }
        }
        Some(Object { at: value.clone(), fields })
    }

    /// An object with these fields and no others.
    pub fn object<'a>(&mut self, value: &Value<'a>, allowed: &[&str]) -> Option<Object<'a>> {
        let object = self.map(value)?;
        for (name, field) in &object.fields {
            if !allowed.contains(name) {
                self.problem(field, format!("found the unknown field {}, allowed are {}", quote(name), list(allowed)));
            }
        }
        Some(object)
    }

    /// A field that must be there.
    pub fn required<'a>(&mut self, object: &mut Object<'a>, name: &str, example: &str) -> Option<Value<'a>> {
        let found = object.optional(name);
        if found.is_none() {
            let example = match self.format {
                Format::Json => format!("\"{name}\": {example}"),
                Format::Yaml => format!("{name}: {example}"),
            };
            self.problem(&object.at, format!("the field `{name}` is missing: write {example}"));
        }
        found
    }

    /// The values of a list.
    pub fn list<'a>(&mut self, value: &Value<'a>) -> Option<Vec<Value<'a>>> {
        let Kind::List(all) = &value.node.kind else { return self.other(value, "a list") };
        let at = |(i, node): (usize, &'a Node)| Value { node, path: format!("{}[{i}]", value.path) };
        Some(all.iter().enumerate().map(at).collect())
    }

    /// A text. In YAML, what reads as a number or a boolean is one too if a text must stand there: nothing else can be
    /// meant.
    pub fn string(&mut self, value: &Value<'_>, allowed: &str) -> Option<String> {
        match (&value.node.kind, self.format) {
            (Kind::Text(text), _) | (Kind::Number(text), Format::Yaml) => Some(text.to_string()),
            (Kind::Bool(bool), Format::Yaml) => Some(bool.to_string()),
            _ => self.other(value, allowed),
        }
    }

    /// A whole number in a range.
    pub fn integer(&mut self, value: &Value<'_>, range: RangeInclusive<u16>) -> Option<u16> {
        let number = match &value.node.kind {
            Kind::Number(text) => text.parse().ok().filter(|number| range.contains(number)),
            _ => None,
        };
        if number.is_none() {
            let (first, last) = range.into_inner();
            self.problem(value, format!("found {}, allowed are {first} to {last}", value.found()));
        }
        number
    }

    /// Says that `value` is of another kind than is `allowed`.
    fn other<T>(&mut self, value: &Value<'_>, allowed: &str) -> Option<T> {
        self.problem(value, format!("found {}, allowed is {allowed}", value.found()));
        None
    }
}

impl<'a> Value<'a> {
    /// The value that the whole file is.
    pub const fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    /// The number that it is, as it is written.
    pub fn number(&self) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Number(text) => Some(text),
            _ => None,
        }
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        Place { at: self.node.at, path: self.path.clone() }
    }

    /// What stands there, for error texts: short values in full, others by their kind.
    pub fn found(&self) -> String {
        const LONGEST: usize = 48;
        let text = match &self.node.kind {
            Kind::Null => "null".to_owned(),
            Kind::Bool(bool) => bool.to_string(),
            Kind::Number(text) => text.to_string(),
            Kind::Text(text) => format!("{text:?}"),
            Kind::List(_) => "a list".to_owned(),
            Kind::Object(_) => "an object".to_owned(),
        };
        match text.char_indices().nth(LONGEST) {
            Some((cut, _)) => format!("{}... ({} characters)", &text[..cut], text.chars().count()),
            None => text,
        }
    }
}

/// A path one name longer. Names with dots are keys of attributes and stand in brackets.
pub(crate) fn join(path: &str, name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match (path, !name.is_empty() && name.chars().all(plain)) {
        ("", true) => name.to_owned(),
        (_, true) => format!("{path}.{name}"),
        (_, false) => format!("{path}[{}]", quote(name)),
    }
}

/// Text in quotes and on one line, cut if it is long.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 100;
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{:?}...", &text[..cut]),
        None => format!("{text:?}"),
    }
}

/// Names for error texts: `a`, `b`, `c`.
pub(crate) fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
