//! Answers as XML: written from the same JSON that commands print.
//!
//! An object's members become elements of their names, a list's members `<member>` elements. What is absent is left out;
//! an empty list is an empty element.

use std::borrow::Cow;

use quick_xml::{
    Writer,
    escape::partial_escape,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};
use serde_json::Value;

/// The name space of the API's answers.
const NAMESPACE: &str = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";

/// The answer to a call that succeeded.
pub fn answer(action: &str, output: &Value, request_id: &str) -> Vec<u8> {
    let mut xml = Xml::new();
    xml.within(&format!("{action}Response"), |xml| {
        let result = format!("{action}Result");
        match output {
            Value::Null => xml.element(&result, &Value::Object(serde_json::Map::new())),
            output => xml.element(&result, output),
        }
        xml.within("ResponseMetadata", |xml| xml.text_element("RequestId", request_id));
    });
    xml.finish()
}

/// The answer to a call that was refused. `status` says on whose side the reason is.
pub fn error(status: u16, code: &str, message: &str, request_id: &str) -> Vec<u8> {
    let mut xml = Xml::new();
    xml.within("ErrorResponse", |xml| {
        xml.within("Error", |xml| {
            xml.text_element("Type", if status < 500 { "Sender" } else { "Receiver" });
            xml.text_element("Code", code);
            xml.text_element("Message", message);
        });
        xml.text_element("RequestId", request_id);
    });
    xml.finish()
}

struct Xml {
    writer: Writer<Vec<u8>>,
    depth: usize,
}

impl Xml {
    fn new() -> Self {
        let mut xml = Self { writer: Writer::new(Vec::new()), depth: 0 };
        xml.write(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        xml
    }

    fn finish(self) -> Vec<u8> {
        self.writer.into_inner()
    }

    #[expect(clippy::expect_used, reason = "writing to a vector does not fail")]
    fn write(&mut self, event: Event<'_>) {
        self.writer.write_event(event).expect("a vector takes all");
    }

    fn start<'a>(&self, name: &'a str) -> BytesStart<'a> {
        let mut start = BytesStart::new(name);
        if self.depth == 0 {
            start.push_attribute(("xmlns", NAMESPACE));
        }
        start
    }

    fn within(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        let name = element_name(name);
        self.write(Event::Start(self.start(&name)));
        self.depth += 1;
        inner(self);
        self.depth -= 1;
        self.write(Event::End(BytesEnd::new(name)));
    }

    fn text_element(&mut self, name: &str, text: &str) {
        self.within(name, |xml| xml.write(Event::Text(BytesText::from_escaped(escaped(text)))));
    }

    fn empty(&mut self, name: &str) {
        self.write(Event::Empty(self.start(&element_name(name))));
    }

    fn element(&mut self, name: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(bool) => self.text_element(name, if *bool { "true" } else { "false" }),
            Value::Number(number) => self.text_element(name, &number.to_string()),
            Value::String(text) => self.text_element(name, text),
            Value::Array(members) if members.is_empty() => self.empty(name),
            Value::Array(members) => {
                self.within(name, |xml| members.iter().for_each(|member| xml.element("member", member)));
            }
            Value::Object(fields) if fields.values().all(Value::is_null) => self.empty(name),
            Value::Object(fields) => {
                self.within(name, |xml| fields.iter().for_each(|(name, value)| xml.element(name, value)));
            }
        }
    }
}

/// Text as XML 1.0 can carry it: other characters (section 2.2) are replaced, and a carriage return, which a parser would
/// turn into a line feed (section 2.11), is written as a reference.
fn escaped(text: &str) -> Cow<'_, str> {
    let carried = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    let text = match text.chars().all(carried) {
        true => Cow::Borrowed(text),
        false => text.chars().map(|c| if carried(c) { c } else { char::REPLACEMENT_CHARACTER }).collect(),
    };
    let text = match text {
        Cow::Borrowed(text) => partial_escape(text),
        Cow::Owned(text) => Cow::Owned(partial_escape(text.as_str()).into_owned()),
    };
    match text.contains('\r') {
        true => text.replace('\r', "&#13;").into(),
        false => text,
    }
}

/// A name that an element can have. The API's own always can; this keeps any other from breaking the document.
fn element_name(name: &str) -> Cow<'_, str> {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let part = |byte: u8| letter(byte) || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    match name.bytes().next().is_some_and(letter) && name.bytes().all(part) {
        true => name.into(),
        false => {
            let known = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
            std::iter::once('_').chain(known).collect()
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use proptest::prelude::*;
    use quick_xml::Reader;
    use serde_json::json;

    const NS: &str = "xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\"";

    fn text(xml: Vec<u8>) -> String {
        String::from_utf8(xml).unwrap().replacen("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "", 1)
    }

    /// An element as it is read back: its name, its text and what is in it.
    #[derive(Clone, PartialEq, Eq, Debug, Default)]
    pub struct Element {
        pub name: String,
        pub text: String,
        pub inner: Vec<Element>,
    }

    impl Element {
        /// The text of the first element at this path.
        pub fn at(&self, path: &[&str]) -> Option<&str> {
            match path {
                [] => Some(&self.text),
                [name, rest @ ..] => self.inner.iter().find(|inner| inner.name == *name)?.at(rest),
            }
        }
    }

    /// Reads a document, which must be well-formed.
    pub fn parse(xml: &[u8]) -> Element {
        let mut reader = Reader::from_reader(xml);
        reader.config_mut().check_end_names = true;
        let mut open = vec![Element::default()];
        let mut buffer = Vec::new();
        loop {
            match reader.read_event_into(&mut buffer).unwrap() {
                Event::Decl(_) => assert_eq!(open.len(), 1),
                Event::Start(start) => {
                    let name = start.name().as_ref().to_owned();
                    open.push(Element { name, ..Element::default() });
                }
                Event::Empty(start) => {
                    let name = start.name().as_ref().to_owned();
                    open.last_mut().unwrap().inner.push(Element { name, ..Element::default() });
                }
                Event::Text(text) => open.last_mut().unwrap().text += &text,
                Event::GeneralRef(reference) => {
                    let escape = format!("&{};", &*reference);
                    open.last_mut().unwrap().text += &quick_xml::escape::unescape(&escape).unwrap();
                }
                Event::End(_) => {
                    let element = open.pop().unwrap();
                    open.last_mut().unwrap().inner.push(element);
                }
                Event::Eof => break,
                other => panic!("{other:?}"),
            }
            buffer.clear();
        }
        assert_eq!(open.len(), 1, "all elements are closed");
        let root = open.pop().unwrap();
        assert_eq!(root.inner.len(), 1, "one root element");
        root.inner.into_iter().next().unwrap()
    }

    #[test]
    fn an_answer() {
        let output = json!({
            "TargetGroups": [{"Name": "web", "Port": 80, "Enabled": true, "Path": null, "Arns": []}, {"Name": "x"}],
            "NextMarker": null,
        });
        let expected = format!(
            "<DescribeTargetGroupsResponse {NS}><DescribeTargetGroupsResult><TargetGroups>\
             <member><Arns/><Enabled>true</Enabled><Name>web</Name><Port>80</Port></member>\
             <member><Name>x</Name></member></TargetGroups></DescribeTargetGroupsResult>\
             <ResponseMetadata><RequestId>id-1</RequestId></ResponseMetadata></DescribeTargetGroupsResponse>"
        );
        assert_eq!(text(answer("DescribeTargetGroups", &output, "id-1")), expected);
    }

    #[test]
    fn a_void_call_has_an_empty_result() {
        for output in [json!({}), Value::Null] {
            let xml = text(answer("DeleteListener", &output, "id-1"));
            assert!(
                xml.contains(&format!("<DeleteListenerResponse {NS}><DeleteListenerResult/><ResponseMeta")),
                "{xml}"
            );
        }
    }

    #[test]
    fn a_refusal() {
        let expected = format!(
            "<ErrorResponse {NS}><Error><Type>Sender</Type><Code>ValidationError</Code><Message>a &lt; b &amp; c</Message>\
             </Error><RequestId>id-1</RequestId></ErrorResponse>"
        );
        assert_eq!(text(error(400, "ValidationError", "a < b & c", "id-1")), expected);
        assert!(text(error(503, "ServiceUnavailable", "", "id-1")).contains("<Type>Receiver</Type>"));
    }

    #[test]
    fn what_xml_cannot_carry_is_replaced() {
        let message = "a\0b\u{1}\u{fffe}\u{ffff}\r\n\t\u{10ffff}]]>\u{85}";
        let document = parse(&error(400, "X", message, "id"));
        let read = document.at(&["Error", "Message"]).unwrap();
        assert_eq!(read, "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}\r\n\t\u{10ffff}]]>\u{85}");
        let document = parse(&answer("X", &json!({"a b<": "1", "": "2", "1": "3"}), "id"));
        let names: Vec<_> = document.inner[0].inner.iter().map(|element| element.name.as_str()).collect();
        assert_eq!(names, ["_", "_1", "_a_b_"]);
    }

    proptest! {
        /// Any text arrives as it was, but for what XML cannot carry.
        #[test]
        fn any_text(value in ".{0,20}") {
            let document = parse(&answer("X", &json!({"V": [value]}), "id"));
            let expected = value.chars().map(|c| if (c < ' ' && !"\t\r\n".contains(c)) || ('\u{fffe}'..='\u{ffff}').contains(&c) {
                '\u{fffd}' } else { c }).collect::<String>();
            prop_assert_eq!(document.at(&["XResult", "V", "member"]).unwrap(), expected);
        }
    }
}
