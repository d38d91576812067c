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
        if let Some(tag) = tag {
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
        let core = |tag: &Tag| tag.is_yaml_core_schema() && tag.suffix == "str";
        match tag {
            Some(tag) if !core(tag) => return Err(self.unknown_tag(at, tag)),
            Some(_) => return Ok(Kind::Text(text.into())),
            None if style != ScalarStyle::Plain => return Ok(Kind::Text(text.into())),
            None if text.is_empty() => return Ok(Kind::Null),
            None => {}
        }
        Ok(match Scalar::parse_from_cow(text.into()) {
            Scalar::Null => Kind::Null,
            Scalar::Boolean(bool) => Kind::Bool(bool),
            Scalar::Integer(_) | Scalar::FloatingPoint(_) => Kind::Number(text.into()),
            Scalar::String(_) => Kind::Text(text.into()),
        })
    }

    fn unknown_tag(&self, at: usize, tag: &Tag) -> Finding {
        self.problem(at, &format!("found the tag {tag}, which means nothing here: remove it (`!!str` alone is known)"))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    use super::super::tree::load;
    use super::*;

    fn read(text: &str) -> Result<Json, String> {
        let source = Source::new(text, "lb.yaml");
        load(&source).map(|node| plain(&node)).map_err(|invalid| invalid.to_string())
    }

    fn plain(node: &Node) -> Json {
        match &node.kind {
            Kind::Null => Json::Null,
            Kind::Bool(bool) => json!(bool),
            Kind::Number(text) => json!({"number": **text}),
            Kind::Text(text) => json!(**text),
            Kind::List(nodes) => nodes.iter().map(plain).collect(),
            Kind::Object(fields) => fields.iter().map(|it| (it.name.to_string(), plain(&it.value))).collect(),
        }
    }

    #[test]
    fn the_core_schema() {
        let cases = [
            ("a: 80", json!({"a": {"number": "80"}})),
            ("a: 0x50", json!({"a": {"number": "0x50"}})),
            ("a: 1e3", json!({"a": {"number": "1e3"}})),
            ("a: True", json!({"a": true})),
            ("a: 'true'", json!({"a": "true"})),
            ("a: yes", json!({"a": "yes"})),
            ("a: off", json!({"a": "off"})),
            ("a: ~", json!({"a": null})),
            ("a:", json!({"a": null})),
            ("a: ''", json!({"a": ""})),
            ("a: \"\\u00e4\\n\"", json!({"a": "\u{e4}\n"})),
            ("a: 2001:db8::10", json!({"a": "2001:db8::10"})),
            ("a: arn:aws:acm:us-east-1:1:certificate/1", json!({"a": "arn:aws:acm:us-east-1:1:certificate/1"})),
            ("a: !!str 80", json!({"a": "80"})),
            ("a: |\n  b\n  c\n", json!({"a": "b\nc\n"})),
            ("a: >-\n  b\n  c\n", json!({"a": "b c"})),
            ("# nothing\n---\na: [b, {c: d}] # e\n...\n", json!({"a": ["b", {"c": "d"}]})),
            ("%YAML 1.2\n---\n- a\n- - b\n  - c\n", json!(["a", ["b", "c"]])),
            ("a:\r\n  b: c\r\n", json!({"a": {"b": "c"}})),
            ("{\"a\": [1, \"b\", true, null]}", json!({"a": [{"number": "1"}, "b", true, null]})),
            ("a: &x {b: c}\nd: *x\n", json!({"a": {"b": "c"}, "d": {"b": "c"}})),
            ("80: a", json!({"80": "a"})),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    /// Each with the place that an editor is to be opened at.
    #[test]
    fn what_is_no_yaml_or_too_much_of_it() {
        let deep = "[".repeat(1_000_000);
        let steps = "- ".repeat(1_000_000);
        let braces = format!("{}{}", "{a: ".repeat(100), "}".repeat(100));
        let cases = [
            ("# nothing\n", "lb.yaml:1:1: the file is empty"),
            (
                "a:\n\t- b\n",
                "lb.yaml:2:2: a: not YAML: tabs disallowed within this context (block indentation): indent with spaces",
            ),
            ("a: [b\n", "the file ends too early"),
            ("a: b: c\n", "lb.yaml:1:5: not YAML"),
            ("a: 1\n b: 2\n", "lb.yaml:2:3: not YAML"),
            ("a: \"b\n", "not YAML"),
            ("a: %b\n", "lb.yaml:1:4: a: not YAML"),
            ("a: 1\n---\nb: 2\n", "a second document begins here"),
            ("a: *b\n", "lb.yaml:1:4: a: not YAML"),
            ("a: &x [*x]\n", "lb.yaml:1:8: a[0]: found an alias inside of the value that it stands for"),
            ("a: !b c\n", "lb.yaml:1:4: a: found the tag !b"),
            ("a: !!binary c\n", "found the tag tag:yaml.org,2002:!binary"),
            ("a: !!int 80\n", "a: found the tag tag:yaml.org,2002:!int"),
            ("a: !b [c]\n", "found the tag !b"),
            ("a: &x {b: c}\nd:\n  <<: *x\n", "lb.yaml:3:3: d[\"<<\"]: merge keys"),
            ("? [a]\n: b\n", "found a list or an object as a field's name"),
            ("a: &x b\n*x : c\n", "found an alias as a field's name"),
            ("&x a: b\n", "found an anchor at a field's name"),
            ("\u{e4}: 'b\n", "lb.yaml:"),
            (deep.as_str(), "not YAML"),
            (steps.as_str(), "nested deeper than 32 levels"),
            (braces.as_str(), "nested deeper than 32 levels"),
        ];
        for (text, expected) in cases {
            let start: String = text.chars().take(80).collect();
            let found =
                read(text).map_err(|found| if found.contains(expected) { "as expected".to_owned() } else { found });
            assert_eq!(found, Err("as expected".to_owned()), "{start}: {expected}");
        }
    }

    #[test]
    fn a_few_aliases_cannot_stand_for_everything() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        let found = read(&text).unwrap_err();
        assert!(found.contains("more than 2000000 values, those of aliases too"), "{found}");
    }

    #[test]
    fn places_are_counted_in_characters() {
        let text = "\u{e4}: {\u{f6}: \u{fc}, b: !c d}\n";
        assert!(read(text).unwrap_err().starts_with("lb.yaml:1:14: "), "{:?}", read(text));
    }

    /// A file of one long line takes no longer than one of many.
    #[test]
    fn long_lines() {
        let value = json!(vec![json!({"id": "10.0.1.11", "port": 8080}); 20_000]).to_string();
        let begun = std::time::Instant::now();
        assert_eq!(read(&value).unwrap().as_array().map(Vec::len), Some(20_000));
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    }

    proptest! {
        /// Whatever a file holds, there is an answer, and a refusal stands on a line and column of the file.
        #[test]
        fn any_text_gets_an_answer(text in "([a-z: \\-\\[\\]{},&*!|>'\"#%\n\r\t?~0-9\u{e4}\u{2028}\u{feff}]|- |: |\n  ){0,60}") {
            if let Err(found) = load(&Source::new(&text, "lb.yaml")) {
                for problem in found.problems() {
                    let line = text.split('\n').nth(problem.line - 1).unwrap_or_else(|| panic!("{problem}"));
                    prop_assert!(problem.column >= 1 && problem.column <= line.chars().count() + 1, "{problem}");
                }
            }
        }

        /// JSON is YAML: both readers find the same in it.
        #[test]
        fn json_is_yaml(text in "[a-z:#\\-'\u{e4} ]{0,12}", number in any::<i32>(), flag in any::<bool>()) {
            let value = json!({"a": [text, {"b": number}, flag, null], text.as_str(): [[]], "c": {}});
            let read = |file: &str| load(&Source::new(&serde_json::to_string(&value).unwrap(), file)).map(|it| plain(&it));
            prop_assert_eq!(read("lb.yaml").unwrap(), read("lb.json").unwrap());
        }
    }
}
