//! YAML as a tree: the core schema of version 1.2, one document, fields named by text, aliases within bounds.
//!
//! The scanner's events are taken one by one rather than loaded at once: so nesting costs no stack, and what is too
//! much is noticed while it is still small.

use std::collections::BTreeMap;

use saphyr::{Marker, Scalar, ScalarStyle, ScanError, Tag};
use saphyr_parser::{Event, Parser as Events, Span};

use super::tree::{DEEPEST, Field, Finding, Kind, MOST_VALUES, Node, Place, Source, join};

/// The value that a text is; `None` if there is nothing but comments.
///
/// # Errors
/// The first place at which it is no YAML, or YAML of a kind that no configuration needs.
pub(super) fn parse(source: &Source) -> Result<Option<Node>, Finding> {
    let mut parser = Parser {
        source,
        open: Vec::new(),
        root: None,
        anchors: BTreeMap::new(),
        values: 0,
        seen: Seen { line: 1, column: 0, offset: 0 },
    };
    for event in Events::new_from_str(&source.text) {
        match event {
            Ok((event, span)) => parser.event(event, span)?,
            Err(error) => return Err(parser.syntax(&error)),
        }
    }
    Ok(parser.root)
}

struct Parser<'a> {
    source: &'a Source,
    /// Lists and objects that are not at their end, outermost first.
    open: Vec<Open>,
    root: Option<Node>,
    /// Values with an anchor, and how many values each is.
    anchors: BTreeMap<usize, (Node, usize)>,
    /// How many there are so far, with those that aliases stand for.
    values: usize,
    seen: Seen,
}

/// A list or an object that is not at its end.
struct Open {
    at: usize,
    anchor: usize,
    /// How many values there were before it.
    before: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    /// The fields, and the name of one whose value comes next.
    Object(Vec<Field>, Option<(usize, Box<str>)>),
}

/// A place whose offset is known: the next one is counted from here. Otherwise a file of one long line would take
/// the square of its length.
#[derive(Clone, Copy)]
struct Seen {
    line: usize,
    column: usize,
    offset: usize,
}

impl Parser<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Finding> {
        let at = self.offset(span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(self.problem(at, "a second document begins here: a configuration is one document"))
            }
            Event::DocumentStart(_) => Ok(()),
            Event::SequenceStart(anchor, tag) => self.begin(at, anchor, tag.as_deref(), Inside::List(Vec::new())),
            Event::MappingStart(anchor, tag) => {
                self.begin(at, anchor, tag.as_deref(), Inside::Object(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(Open { inside: Inside::Object(_, name @ None), .. }) = self.open.last_mut() {
                    let merges = style == ScalarStyle::Plain && text == "<<";
                    *name = Some((at, text.into()));
                    if merges {
                        return Err(self.problem(at, "merge keys (`<<`) are not part of YAML 1.2: repeat the fields"));
                    }
                    if anchor > 0 {
                        return Err(self.problem(at, "found an anchor at a field's name: put it at a value"));
                    }
                    return Ok(());
                }
                let before = self.values;
                self.count(at, 1)?;
                let kind = self.scalar(at, &text, style, tag.as_deref())?;
                self.add(Node { at, kind }, anchor, before)
            }
            Event::Alias(anchor) => self.alias(at, anchor),
        }
    }

    /// A list or an object begins.
    fn begin(&mut self, at: usize, anchor: usize, tag: Option<&Tag>, inside: Inside) -> Result<(), Finding> {
        if let Some(Open { inside: Inside::Object(_, None), .. }) = self.open.last() {
            return Err(self.problem(at, "found a list or an object as a field's name: names are text"));
        }
        if self.open.len() > DEEPEST {
            return Err(self.problem(at, &format!("nested deeper than {DEEPEST} levels, which no configuration is")));
        }
        if let Some(tag) = tag.filter(|tag| !(tag.is_yaml_core_schema() && ["seq", "map"].contains(&&*tag.suffix))) {
            return Err(self.unknown_tag(at, tag));
        }
        let before = self.values;
        self.count(at, 1)?;
        self.open.push(Open { at, anchor, before, inside });
        Ok(())
    }

    /// The innermost list or object is at its end.
    fn end(&mut self) -> Result<(), Finding> {
        let Some(Open { at, anchor, before, inside }) = self.open.pop() else { return Ok(()) };
        let kind = match inside {
            Inside::List(nodes) => Kind::List(nodes),
            Inside::Object(fields, _) => Kind::Object(fields),
        };
        self.add(Node { at, kind }, anchor, before)
    }

    /// A value is complete; `before` is how many values there were before it.
    fn add(&mut self, node: Node, anchor: usize, before: usize) -> Result<(), Finding> {
        if anchor > 0 {
            let size = self.values - before;
            // The copy counts: anchors within anchors are copies of copies.
            self.count(node.at, size)?;
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { inside: Inside::List(nodes), .. }) => nodes.push(node),
            Some(Open { inside: Inside::Object(fields, name), .. }) => match name.take() {
                Some((at, name)) => fields.push(Field { at, name, value: node }),
                None => return Err(self.problem(node.at, "found an alias as a field's name: names are text")),
            },
        }
        Ok(())
    }

    fn alias(&mut self, at: usize, anchor: usize) -> Result<(), Finding> {
        let Some((node, size)) = self.anchors.get(&anchor) else {
            return Err(self.problem(at, "found an alias inside of the value that it stands for"));
        };
        let (size, before) = (*size, self.values);
        // Counted before it is copied: a few aliases of aliases can stand for more than there is memory.
        let node = (self.values + size <= MOST_VALUES).then(|| Node { at, kind: node.kind.clone() });
        self.count(at, size)?;
        node.map_or(Ok(()), |node| self.add(node, 0, before))
    }

    fn count(&mut self, at: usize, values: usize) -> Result<(), Finding> {
        self.values += values;
        match self.values > MOST_VALUES {
            true => {
                let text = format!("more than {MOST_VALUES} values, those of aliases too, which no configuration has");
                Err(self.problem(at, &text))
            }
            false => Ok(()),
        }
    }

    /// What a scalar is by the core schema.
    fn scalar(&self, at: usize, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Kind, Finding> {
        let core = ["str", "int", "float", "bool", "null"];
        match tag {
            Some(tag) if !tag.is_yaml_core_schema() || !core.contains(&&*tag.suffix) => {
                return Err(self.unknown_tag(at, tag));
            }
            _ if style != ScalarStyle::Plain => return Ok(Kind::Text(text.into())),
            _ => {}
        }
        let plain = Scalar::parse_from_cow(text.into());
        let read = match tag.map(|tag| &*tag.suffix) {
            Some("str") => Scalar::String(text.into()),
            _ if text.is_empty() => Scalar::Null,
            _ => plain,
        };
        let fits = match (tag.map(|tag| &*tag.suffix), &read) {
            (None | Some("str"), _)
            | (Some("int"), Scalar::Integer(_))
            | (Some("float"), Scalar::Integer(_) | Scalar::FloatingPoint(_))
            | (Some("bool"), Scalar::Boolean(_))
            | (Some("null"), Scalar::Null) => true,
            _ => false,
        };
        match read {
            _ if !fits => Err(self.problem(at, "the value is not of the kind that its tag says: remove the tag")),
            Scalar::Null => Ok(Kind::Null),
            Scalar::Boolean(bool) => Ok(Kind::Bool(bool)),
            Scalar::Integer(_) | Scalar::FloatingPoint(_) => Ok(Kind::Number(text.into())),
            Scalar::String(_) => Ok(Kind::Text(text.into())),
        }
    }

    fn unknown_tag(&self, at: usize, tag: &Tag) -> Finding {
        self.problem(at, &format!("found the tag {tag}, which means nothing here: remove it"))
    }

    fn syntax(&mut self, error: &ScanError) -> Finding {
        let at = self.offset(*error.marker());
        let advice = match () {
            () if error.info().contains("tab") => ": indent with spaces",
            () if at >= self.source.text.len() => ": the file ends too early, or an indentation or a bracket is wrong",
            () => "",
        };
        self.problem(at, &format!("not YAML: {}{advice}", error.info()))
    }

    /// Something wrong at the value that is being read.
    fn problem(&self, at: usize, text: &str) -> Finding {
        let mut path = String::new();
        for open in &self.open {
            match &open.inside {
                Inside::List(nodes) => path += &format!("[{}]", nodes.len()),
                Inside::Object(_, Some((_, name))) => path = join(&path, name),
                Inside::Object(_, None) => {}
            }
        }
        Finding { at: Place { at, path }, text: text.to_owned() }
    }

    /// The offset of a place that is told by line, from 1, and column in characters, from 0.
    fn offset(&mut self, marker: Marker) -> usize {
        let (line, column) = (marker.line(), marker.col());
        let Seen { offset, column: from, .. } = match self.seen {
            seen if seen.line == line && seen.column <= column => seen,
            _ => Seen { line, column: 0, offset: self.source.begin_of(line) },
        };
        let rest = &self.source.text[offset..];
        let offset = rest.char_indices().nth(column - from).map_or(self.source.text.len(), |(at, _)| offset + at);
        self.seen = Seen { line, column, offset };
        offset
    }
}
