//! Requests as a client of the reference signs them (`vectors.json`, made by `scripts/sigv4-vectors`), and what becomes of
//! them when one thing is changed on the way.

use std::collections::BTreeMap;

use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::Deserialize;

use super::*;
use crate::api::{AccessKey, SharedKeys};

#[derive(Deserialize)]
struct Vectors {
    now: Timestamp,
    region: String,
    keys: BTreeMap<String, String>,
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    tls: bool,
    key_id: String,
}

/// A request that can be changed.
#[derive(Clone)]
struct Sent {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
    tls: bool,
}

impl Sent {
    fn new(vector: &Vector) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in &vector.headers {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let (method, uri) = (vector.method.parse().unwrap(), vector.target.parse().unwrap());
        Self { method, uri, headers, body: vector.body.clone().into(), tls: vector.tls }
    }

    fn received(&self) -> Received<'_> {
        let Self { method, uri, headers, body, tls } = self;
        Received { method, uri, headers, body, tls: *tls }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }

    /// Replaces text in the `Authorization` header or the query, wherever the signature's parts are.
    fn replace(&self, from: &str, to: &str) -> Self {
        self.with(|sent| {
            if let Some(value) = sent.headers.get_mut(AUTHORIZATION) {
                *value = value.to_str().unwrap().replacen(from, to, 1).parse().unwrap();
            } else {
                let escape = |text: &str| text.replace('/', "%2F").replace(';', "%3B");
                sent.uri = sent.uri.to_string().replacen(&escape(from), &escape(to), 1).parse().unwrap();
            }
        })
    }

    fn is_presigned(&self) -> bool {
        !self.headers.contains_key(AUTHORIZATION)
    }
}

struct Bench {
    vectors: Vectors,
    keys: SharedKeys,
}

impl Bench {
    fn new() -> Self {
        let vectors: Vectors = serde_json::from_str(include_str!("vectors.json")).unwrap();
        let key = |secret: &String| AccessKey { secret: Secret::new(secret.as_str()), user: Some("Alice".into()) };
        let keys: BTreeMap<_, _> = vectors.keys.iter().map(|(id, secret)| (id.clone(), key(secret))).collect();
        Self { vectors, keys: SharedKeys::new(keys) }
    }

    fn verify(&self, sent: &Sent) -> Result<Signer, Denied> {
        verify(sent.received(), &self.vectors.region, &self.keys, self.vectors.now)
    }

    fn refusal(&self, sent: &Sent) -> (Code, String) {
        let denied = self.verify(sent).unwrap_err();
        (denied.fault.code, denied.fault.message)
    }

    fn sent(&self) -> impl Iterator<Item = (&str, Sent)> {
        self.vectors.vectors.iter().map(|vector| (vector.name.as_str(), Sent::new(vector)))
    }

    /// The plain POST.
    fn post(&self) -> Sent {
        self.sent().next().unwrap().1
    }

    fn presigned(&self) -> Sent {
        self.sent().find(|(name, _)| *name == "presigned").unwrap().1
    }
}

#[test]
fn what_clients_sign_is_believed() {
    let bench = Bench::new();
    assert!(bench.vectors.vectors.len() >= 26);
    for (vector, (name, sent)) in bench.vectors.vectors.iter().zip(bench.sent()) {
        let signer = bench.verify(&sent).unwrap_or_else(|denied| panic!("{name}: {}", denied.fault));
        assert_eq!(signer, Signer { key_id: vector.key_id.clone(), user: Some("Alice".into()) });
    }
}

#[test]
fn any_change_on_the_way_is_noticed() {
    let bench = Bench::new();
    for (name, sent) in bench.sent() {
        let target = sent.uri.path_and_query().unwrap().as_str();
        let mut changed = vec![
            ("method", sent.with(|sent| sent.method = if sent.method == "GET" { Method::POST } else { Method::GET })),
            (
                "path",
                sent.with(|sent| {
                    sent.uri = target.replacen(sent.uri.path(), &format!("{}x", sent.uri.path()), 1).parse().unwrap()
                }),
            ),
            (
                "query",
                sent.with(|sent| {
                    sent.uri = format!("{target}{}x=y", if target.contains('?') { '&' } else { '?' }).parse().unwrap()
                }),
            ),
            ("no host", sent.with(|sent| drop(sent.headers.remove(HOST)))),
            (
                "second host",
                sent.with(|sent| {
                    sent.headers.append(HOST, HeaderValue::from_static("evil"));
                }),
            ),
            ("shorter signature", sent.replace("Signature=", "Signature=00")),
            ("other scope", sent.replace("aws4_request", "aws4_requests")),
            ("host not signed", sent.replace("host", "x-nothing")),
        ];
        for header in sent.headers.keys().filter(|header| *header != AUTHORIZATION && *header != "user-agent") {
            changed.push((
                "header",
                sent.with(|sent| {
                    let value = sent.headers.get_mut(header).unwrap();
                    *value = format!("{}1", value.to_str().unwrap()).parse().unwrap();
                }),
            ));
        }
        if name != "body not signed, over tls" {
            changed.push(("longer body", sent.with(|sent| sent.body.push(b'&'))));
            changed.push((
                "body",
                sent.with(|sent| match sent.body.first_mut() {
                    Some(byte) => *byte ^= 1,
                    None => sent.body.push(b'x'),
                }),
            ));
        }
        for (what, changed) in changed {
            let denied = bench.verify(&changed).expect_err(&format!("{name}: {what}"));
            let expected = [Code::SignatureDoesNotMatch, Code::IncompleteSignature];
            assert!(expected.contains(&denied.fault.code), "{name}: {what}: {}", denied.fault);
        }
    }
}

#[test]
fn every_digit_of_the_signature_counts() {
    let bench = Bench::new();
    for sent in [bench.post(), bench.presigned()] {
        let text = match sent.is_presigned() {
            true => sent.uri.to_string(),
            false => sent.headers[AUTHORIZATION].to_str().unwrap().to_owned(),
        };
        let start = text.rfind("Signature=").unwrap() + "Signature=".len();
        assert_eq!(text.len() - start, 64);
        for at in 0..64 {
            let mut forged = text[start..].to_owned();
            let digit = if &forged[at..=at] == "0" { "1" } else { "0" };
            forged.replace_range(at..=at, digit);
            let forged = sent.replace(&text[start..], &forged);
            assert_eq!(bench.refusal(&forged).0, Code::SignatureDoesNotMatch);
        }
        for forged in ["", "0", "xyz", &text[start..text.len() - 2]] {
            assert!(bench.verify(&sent.replace(&text[start..], forged)).is_err(), "{forged}");
        }
    }
}

#[test]
fn another_secret_does_not_do() {
    let bench = Bench::new();
    let other = AccessKey { secret: Secret::new("another"), user: None };
    bench.keys.replace(bench.vectors.keys.keys().map(|id| (id.clone(), other.clone())).collect::<BTreeMap<_, _>>());
    for (name, sent) in bench.sent() {
        let denied = bench.verify(&sent).expect_err(name);
        assert_eq!(denied.fault.code, Code::SignatureDoesNotMatch);
        assert!(denied.key_id.is_some());
    }
    bench.keys.replace(BTreeMap::new());
    for (name, sent) in bench.sent() {
        let denied = bench.verify(&sent).expect_err(name);
        assert_eq!((denied.fault.code, denied.key_id), (Code::InvalidClientTokenId, None), "{name}");
    }
}

#[test]
fn times() {
    let bench = Bench::new();
    let at = |sent: &Sent, seconds: i64| {
        let now = bench.vectors.now + SignedDuration::from_secs(seconds);
        verify(sent.received(), &bench.vectors.region, &bench.keys, now).map_err(|denied| denied.fault)
    };
    let (post, presigned) = (bench.post(), bench.presigned());
    for seconds in [-900, 0, 900] {
        at(&post, seconds).unwrap();
    }
    let early = at(&post, -901).unwrap_err();
    assert_eq!(early.code, Code::SignatureDoesNotMatch);
    assert_eq!(
        early.message,
        "Signature not yet current: 20261121T120000Z is still later than 20261121T115959Z (20261121T114459Z + 15 min.)"
    );
    let late = at(&post, 901).unwrap_err();
    assert_eq!(late.code, Code::SignatureDoesNotMatch);
    assert_eq!(
        late.message,
        "Signature expired: 20261121T120000Z is now earlier than 20261121T120001Z (20261121T121501Z - 900 s)"
    );
    for seconds in [-900, 60] {
        at(&presigned, seconds).unwrap();
    }
    for seconds in [-901, 61] {
        assert_eq!(at(&presigned, seconds).unwrap_err().code, Code::SignatureDoesNotMatch);
    }
}

#[test]
fn scopes() {
    let bench = Bench::new();
    let denied = verify(bench.post().received(), "eu-central-1", &bench.keys, bench.vectors.now).unwrap_err();
    assert_eq!(denied.fault.code, Code::SignatureDoesNotMatch);
    assert_eq!(
        denied.fault.message,
        "Credential should be scoped to the region \"eu-central-1\", not to \"us-east-1\""
    );
    for sent in [bench.post(), bench.presigned()] {
        for (from, to, told) in [
            ("/us-east-1/", "/us-east-2/", "region \"us-east-1\""),
            ("elasticloadbalancing", "ec2", "service \"elasticloadbalancing\""),
            ("aws4_request", "aws5_request", "terminator \"aws4_request\""),
            ("20261121/", "20261120/", "date \"20261121\""),
        ] {
            let (code, message) = bench.refusal(&sent.replace(from, to));
            assert_eq!(code, Code::SignatureDoesNotMatch);
            assert!(message.contains(told), "{message}");
        }
    }
}

#[test]
fn requests_without_a_signature() {
    let bench = Bench::new();
    let bare = bench.post().with(|sent| drop(sent.headers.remove(AUTHORIZATION)));
    assert_eq!(bench.refusal(&bare).0, Code::MissingAuthenticationToken);
    let empty = bare.with(|sent| drop(sent.headers.insert(AUTHORIZATION, HeaderValue::from_static(""))));
    assert_eq!(bench.refusal(&empty).0, Code::MissingAuthenticationToken);
    let old = bare.with(|sent| sent.uri = "/?AWSAccessKeyId=A&SignatureVersion=2&Signature=x".parse().unwrap());
    let (code, message) = bench.refusal(&old);
    assert_eq!(code, Code::IncompleteSignature);
    assert!(message.contains("Signature Version 2"), "{message}");
}

#[test]
fn missing_and_malformed_parts() {
    let bench = Bench::new();
    let post = bench.post();
    let header = |text: &str| post.with(|sent| drop(sent.headers.insert(AUTHORIZATION, text.parse().unwrap())));
    let whole = "Credential=AKIAIOSFODNN7EXAMPLE/20261121/us-east-1/elasticloadbalancing/aws4_request";
    for text in [
        "Basic YTpi".to_owned(),
        "AWS4-HMAC-SHA256".to_owned(),
        "AWS4-ECDSA-P256-SHA256 Credential=a, SignedHeaders=host, Signature=0".to_owned(),
        format!("AWS4-HMAC-SHA256 {whole}, SignedHeaders=host"),
        format!("AWS4-HMAC-SHA256 {whole}, Signature=00"),
        "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=00".to_owned(),
        format!("AWS4-HMAC-SHA256 {whole}, SignedHeaders=, Signature=00"),
        format!("AWS4-HMAC-SHA256 {whole}, SignedHeaders=host;, Signature=00"),
        format!("AWS4-HMAC-SHA256 {whole}, SignedHeaders=Host, Signature=00"),
        format!("AWS4-HMAC-SHA256 {whole}, SignedHeaders=host, Signature=00, Signature=11"),
        format!("AWS4-HMAC-SHA256 {whole}, SignedHeaders=host, Signature=00, Other=11"),
        format!("AWS4-HMAC-SHA256 {whole}, SignedHeaders, Signature=00"),
        "AWS4-HMAC-SHA256 Credential=A/20261121/us-east-1/aws4_request, SignedHeaders=host, Signature=00".to_owned(),
        "AWS4-HMAC-SHA256 Credential=/20261121/us-east-1/x/aws4_request, SignedHeaders=host, Signature=00".to_owned(),
        format!("AWS4-HMAC-SHA256 {whole}, SignedHeaders={}, Signature=00", ["host"; 101].join(";")),
    ] {
        assert_eq!(bench.refusal(&header(&text)).0, Code::IncompleteSignature, "{text}");
    }
    for date in ["", "20261121", "2026-11-21T12:00:00Z", "20261321T120000Z", "20261121T120000+", "+0261121T120000Z"] {
        let sent = post.with(|sent| drop(sent.headers.insert("x-amz-date", date.parse().unwrap())));
        assert_eq!(bench.refusal(&sent).0, Code::IncompleteSignature, "{date}");
    }
    let dateless = post.with(|sent| drop(sent.headers.remove("x-amz-date")));
    assert_eq!(bench.refusal(&dateless).0, Code::IncompleteSignature);
    let twice = post.with(|sent| {
        sent.headers.append(AUTHORIZATION, HeaderValue::from_static("x"));
    });
    assert_eq!(bench.refusal(&twice).0, Code::IncompleteSignature);
    let both = post.with(|sent| sent.uri = bench.presigned().uri);
    assert_eq!(bench.refusal(&both).0, Code::IncompleteSignature);

    let presigned = bench.presigned().uri.to_string();
    for part in ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"] {
        let without = presigned.replace(&format!("X-Amz-{part}="), &format!("X-Amz-No{part}="));
        let sent = bench.presigned().with(|sent| sent.uri = without.parse().unwrap());
        assert_eq!(bench.refusal(&sent).0, Code::IncompleteSignature, "{part}");
        let twice = format!("{presigned}&X-Amz-{part}=x");
        let sent = bench.presigned().with(|sent| sent.uri = twice.parse().unwrap());
        assert_eq!(bench.refusal(&sent).0, Code::IncompleteSignature, "{part}");
    }
    for expires in ["0", "604801", "-1", "x", ""] {
        let sent = presigned.replace("X-Amz-Expires=60", &format!("X-Amz-Expires={expires}"));
        let sent = bench.presigned().with(|changed| changed.uri = sent.parse().unwrap());
        assert_eq!(bench.refusal(&sent).0, Code::IncompleteSignature, "{expires}");
    }
}

/// What was sent as the signature is in no message: messages are logged.
#[test]
fn messages_do_not_repeat_signatures() {
    let bench = Bench::new();
    let post = bench.post();
    let signature = post.headers[AUTHORIZATION].to_str().unwrap().rsplit('=').next().unwrap().to_owned();
    for changed in [
        post.replace("Signature=", "Signature"),
        post.replace("Signature=", "Sig="),
        post.replace(", Signature", " Signature"),
        post.replace("us-east-1", "us-east-2"),
        post.with(|sent| sent.body.clear()),
    ] {
        let (_, message) = bench.refusal(&changed);
        assert!(!message.contains(&signature), "{message}");
    }
}

#[test]
fn session_tokens_are_refused() {
    let bench = Bench::new();
    let token = HeaderValue::from_static("token");
    let sent = bench.post().with(|sent| drop(sent.headers.insert("x-amz-security-token", token)));
    assert_eq!(bench.refusal(&sent).0, Code::InvalidClientTokenId);
    let uri = format!("{}&X-Amz-Security-Token=x", bench.presigned().uri);
    let sent = bench.presigned().with(|sent| sent.uri = uri.parse().unwrap());
    assert_eq!(bench.refusal(&sent).0, Code::InvalidClientTokenId);
}

#[test]
fn the_hash_in_the_header_is_that_of_the_body() {
    let bench = Bench::new();
    let unsigned = bench.sent().find(|(name, _)| *name == "body not signed, over tls").unwrap().1;
    bench.verify(&unsigned.with(|sent| sent.body.clear())).unwrap();
    let (code, message) = bench.refusal(&unsigned.with(|sent| sent.tls = false));
    assert_eq!(code, Code::SignatureDoesNotMatch);
    assert!(message.contains("without TLS"), "{message}");
    for hash in
        ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
    {
        let sent = bench.post().with(|sent| drop(sent.headers.insert("x-amz-content-sha256", hash.parse().unwrap())));
        let (code, message) = bench.refusal(&sent);
        assert_eq!(code, Code::SignatureDoesNotMatch);
        assert!(message.contains("x-amz-content-sha256"), "{message}");
    }
}

#[test]
fn parameters_of_the_call_are_those_that_are_not_the_signature_s() {
    let query = bench_query();
    let names: Vec<_> = parameters(&query).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Action", "Version", "ResourceArns.member.2", "ResourceArns.member.1"]);
    assert_eq!(parameters("a=%ff").unwrap_err().code, Code::MalformedQueryString);
}

fn bench_query() -> String {
    Bench::new().presigned().uri.query().unwrap().to_owned()
}
