//! The canonical request: what client and server both write down, to sign the same bytes.
//!
//! See "Create a signed AWS API request" of the reference's user guide. Clients differ in how they write an address, so
//! both sides bring it into one form first.

use hyper::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use sha2::{Digest as _, Sha256};

/// All but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The same for paths, whose slashes stay.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// What is signed of a request.
pub struct Canonical<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The path as it was sent, escapes and all.
    pub path: &'a str,
    /// Names and values of the query, decoded, without the signature.
    pub query: &'a [(Vec<u8>, Vec<u8>)],
    /// The headers as they were sent.
    pub headers: &'a HeaderMap,
    /// Which headers are signed, in lower case.
    pub signed: &'a [String],
    /// What stands for the body: its SHA-256 in hexadecimal digits.
    pub payload: &'a str,
}

impl Canonical<'_> {
    /// The canonical request. Bytes and not text, as headers may hold any.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{}\n{}\n{}\n", self.method, path(self.path), query(self.query)).into_bytes();
        let mut signed: Vec<&str> = self.signed.iter().map(String::as_str).collect();
        signed.sort_unstable();
        for name in &signed {
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(b':');
            bytes.extend_from_slice(&header(self.headers, name));
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(format!("\n{}\n{}", signed.join(";"), self.payload).as_bytes());
        bytes
    }
}

/// The SHA-256 of something, in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A path without empty, `.` and `..` segments (RFC 3986, section 5.2.4). It is escaped once more than it was sent, as
/// every service but S3 does.
pub fn path(sent: &str) -> String {
    let mut segments = Vec::new();
    for segment in sent.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let last = if sent.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    percent_encode(format!("/{}{last}", segments.join("/")).as_bytes(), RESERVED_IN_PATH).to_string()
}

/// A query, escaped in one way and ordered by name, then by value.
fn query(pairs: &[(Vec<u8>, Vec<u8>)]) -> String {
    let encode = |bytes: &[u8]| percent_encode(bytes, RESERVED).to_string();
    let mut encoded: Vec<_> = pairs.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    encoded.sort_unstable();
    encoded.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

/// A header's values, joined by commas, each without the blanks that do not matter.
fn header(headers: &HeaderMap, name: &str) -> Vec<u8> {
    let values = headers.get_all(name).iter().map(|value| {
        let words = value.as_bytes().split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(&b' ')
    });
    values.collect::<Vec<_>>().join(&b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (sent, expected) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/./", "/"),
            ("/../..", "/"),
            ("/a/./b//c/../d/", "/a/b/d/"),
            ("/a%20b", "/a%2520b"),
            ("/a~b_c-d.e", "/a~b_c-d.e"),
            ("/a/..", "/"),
        ] {
            assert_eq!(path(sent), expected, "{sent}");
        }
    }

    #[test]
    fn queries() {
        let pairs = [("b", "2"), ("a", "z"), ("a", "é ~+"), ("A", "")];
        let pairs = pairs.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(query(&pairs), "A=&a=%C3%A9%20~%2B&a=z&b=2");
    }

    /// The example of the reference's user guide for this form.
    #[test]
    fn a_request() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "iam.amazonaws.com".parse().unwrap());
        headers.insert("content-type", "application/x-www-form-urlencoded; charset=utf-8".parse().unwrap());
        headers.insert("x-amz-date", " 20150830T123600Z ".parse().unwrap());
        let canonical = Canonical {
            method: "GET",
            path: "/",
            query: &[("Version".into(), "2010-05-08".into()), ("Action".into(), "ListUsers".into())],
            headers: &headers,
            signed: &["host".into(), "x-amz-date".into(), "content-type".into()],
            payload: &sha256(b""),
        };
        let expected = "GET\n/\nAction=ListUsers&Version=2010-05-08\n\
            content-type:application/x-www-form-urlencoded; charset=utf-8\nhost:iam.amazonaws.com\n\
            x-amz-date:20150830T123600Z\n\ncontent-type;host;x-amz-date\n\
            e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(String::from_utf8(canonical.bytes()).unwrap(), expected);
        assert_eq!(sha256(expected.as_bytes()), "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59");
    }

    #[test]
    fn headers() {
        let mut headers = HeaderMap::new();
        headers.append("x-a", "  a   b\t c ".parse().unwrap());
        headers.append("x-a", "\"d   e\"".parse().unwrap());
        headers.append("x-a", "".parse().unwrap());
        assert_eq!(header(&headers, "x-a"), b"a b c,\"d e\",");
    }
}
