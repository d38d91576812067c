//! The parts of a signature, from the `Authorization` header or from a presigned URL's query.

use hyper::{HeaderMap, header::AUTHORIZATION};
use jiff::{Timestamp, civil::DateTime, fmt::rfc2822, tz::TimeZone};

use crate::{
    api::{cut, query},
    model::{Code, Fault},
};

/// The only algorithm.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The longest life of a presigned URL, in seconds: a week.
const MAX_EXPIRES: i64 = 604_800;
/// Headers that one signature can cover.
const MAX_SIGNED: usize = 100;

/// A query, decoded: names and values.
pub type Query = Vec<(Vec<u8>, Vec<u8>)>;

/// The parts of a signature. None of them is believed yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parts {
    /// The id of the key that it was made with.
    pub key_id: String,
    /// What it is good for.
    pub scope: Scope,
    /// The headers that it covers, in lower case.
    pub signed: Vec<String>,
    /// Itself, in hexadecimal digits.
    pub signature: String,
    /// When it was made.
    pub time: Timestamp,
    /// The same as `20150830T123600Z`.
    pub stamp: String,
    /// For how many seconds it holds, if it is a presigned URL's.
    pub expires: Option<i64>,
}

/// What a signature is good for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scope {
    /// `20150830`.
    pub date: String,
    /// `us-east-1`.
    pub region: String,
    /// `elasticloadbalancing`.
    pub service: String,
    /// `aws4_request`.
    pub terminator: String,
}

fn incomplete(why: impl Into<String>) -> Fault {
    Fault::new(Code::IncompleteSignature, why)
}

/// The query of a URL, and the `X-Amz-` parameters that were taken out of it.
pub struct Presigned {
    /// What remains: parameters of the call.
    pub call: Query,
    /// Parameters of the signature.
    auth: Query,
}

/// The parameters by which a presigned URL is signed.
const AUTH: [&str; 7] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-Security-Token",
    SIGNED_HEADERS,
    SIGNATURE,
];
const SIGNED_HEADERS: &str = "X-Amz-SignedHeaders";
const SIGNATURE: &str = "X-Amz-Signature";

impl Presigned {
    /// Takes a query apart.
    pub fn new(query: &str) -> Self {
        let pairs = query::split(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned()));
        let (auth, call) = pairs.partition(|(name, _)| AUTH.iter().any(|known| known.as_bytes() == name));
        Self { call, auth }
    }

    /// The whole query without the signature, which cannot cover itself.
    pub fn signed(&self) -> Query {
        let auth = self.auth.iter().filter(|(name, _)| name != SIGNATURE.as_bytes());
        self.call.iter().chain(auth).cloned().collect()
    }

    fn get(&self, name: &str) -> Result<Option<&str>, Fault> {
        let mut values = self.auth.iter().filter(|(known, _)| known == name.as_bytes()).map(|(_, value)| value);
        let (value, other) = (values.next(), values.next());
        if other.is_some() {
            return Err(incomplete(format!("the query has {name} twice")));
        }
        value.map(|value| std::str::from_utf8(value).map_err(|_| incomplete(format!("{name} is not text")))).transpose()
    }
}

/// Finds the parts of a request's signature.
///
/// # Errors
/// `MissingAuthenticationToken` if there is none, `IncompleteSignature` if a part is missing or malformed.
pub fn find(headers: &HeaderMap, query: &Presigned) -> Result<Parts, Fault> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (header, other) = (values.next(), values.next());
    if other.is_some() {
        return Err(incomplete("the request has more than one Authorization header"));
    }
    let parts = match (header, query.auth.is_empty()) {
        (Some(_), false) => Err(incomplete("the request is signed twice, by header and by query; sign it in one way")),
        (Some(value), true) if !value.is_empty() => {
            let text = value.to_str().map_err(|_| incomplete("the Authorization header is not text"))?;
            from_header(text, headers)
        }
        (None, false) => from_query(query),
        (_, true) if has_version_2(query) => {
            Err(incomplete(format!("the request is signed with Signature Version 2: sign it with {ALGORITHM}")))
        }
        (_, true) => Err(Fault::new(
            Code::MissingAuthenticationToken,
            format!("the request is not signed: sign it with an access key of this node, by {ALGORITHM}"),
        )),
    }?;
    // The key's owner is found by its id alone; a session token would say that the key is of a kind that is not known here.
    if headers.contains_key("x-amz-security-token") || query.get("X-Amz-Security-Token")?.is_some() {
        let why = "the request has a session token: this node knows access keys only, without tokens; leave it out";
        return Err(Fault::new(Code::InvalidClientTokenId, why));
    }
    Ok(parts)
}

fn has_version_2(query: &Presigned) -> bool {
    query.call.iter().any(|(name, _)| name == b"AWSAccessKeyId" || name == b"SignatureVersion")
}

/// `AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX`.
fn from_header(text: &str, headers: &HeaderMap) -> Result<Parts, Fault> {
    let (algorithm, rest) = text.trim().split_once([' ', '\t']).unwrap_or((text.trim(), ""));
    check_algorithm(algorithm)?;
    let (mut credential, mut signed, mut signature) = (None, None, None);
    // What is found is not repeated in messages: it may be, or hold, the signature.
    for part in rest.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (name, value) = part
            .split_once('=')
            .ok_or_else(|| incomplete("a part of the Authorization header has no = between name and value"))?;
        let slot = match name.trim() {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed,
            "Signature" => &mut signature,
            _ => {
                return Err(incomplete(
                    "the Authorization header has a part that is none of Credential, SignedHeaders, Signature",
                ));
            }
        };
        if slot.replace(value.trim()).is_some() {
            return Err(incomplete(format!("the Authorization header has {} twice", name.trim())));
        }
    }
    let required = |part: Option<&str>, name: &str| {
        let part = part.filter(|part| !part.is_empty()).map(str::to_owned);
        part.ok_or_else(|| incomplete(format!("the Authorization header has no {name}")))
    };
    let credential = required(credential, "Credential")?;
    let signed = required(signed, "SignedHeaders")?;
    let signature = required(signature, "Signature")?;
    let (time, stamp) = date(headers)?;
    parts(&credential, &signed, signature, (time, stamp), None)
}

/// The time of a request that is signed by header: that of `X-Amz-Date`, else that of `Date`.
fn date(headers: &HeaderMap) -> Result<(Timestamp, String), Fault> {
    let text = |name: &str| {
        let value = headers.get(name)?;
        Some(value.to_str().map_err(|_| incomplete(format!("the {name} header is not text"))))
    };
    if let Some(value) = text("x-amz-date").transpose()? {
        return basic(value.trim(), "X-Amz-Date");
    }
    let Some(value) = text("date").transpose()? else {
        return Err(incomplete("the request has no X-Amz-Date header and no Date header: give the time of signing"));
    };
    if let Ok(time) = rfc2822::parse(value.trim()) {
        let stamp = time.timestamp().strftime("%Y%m%dT%H%M%SZ").to_string();
        return Ok((time.timestamp(), stamp));
    }
    basic(value.trim(), "Date")
}

/// A time in ISO 8601's basic format.
fn basic(text: &str, name: &str) -> Result<(Timestamp, String), Fault> {
    let shaped = text.len() == 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let time = shaped.then(|| DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()).flatten();
    let time = time.and_then(|time| TimeZone::UTC.to_timestamp(time).ok());
    time.map(|time| (time, text.to_owned())).ok_or_else(|| {
        incomplete(format!("{name} is {:?}: write the time of signing in UTC, as 20150830T123600Z", cut(text, 40)))
    })
}

fn from_query(query: &Presigned) -> Result<Parts, Fault> {
    let required = |name: &str| {
        let value = query.get(name)?.filter(|value| !value.is_empty());
        value.ok_or_else(|| incomplete(format!("the query has no {name}")))
    };
    check_algorithm(required("X-Amz-Algorithm")?)?;
    let expires = required("X-Amz-Expires")?;
    let seconds = expires.parse().ok().filter(|seconds| (1..=MAX_EXPIRES).contains(seconds));
    let seconds = seconds.ok_or_else(|| {
        incomplete(format!("X-Amz-Expires is {:?}: allowed are 1 to {MAX_EXPIRES} seconds", cut(expires, 40)))
    })?;
    let time = basic(required("X-Amz-Date")?, "X-Amz-Date")?;
    let (credential, signed) = (required("X-Amz-Credential")?, required(SIGNED_HEADERS)?);
    parts(credential, signed, required(SIGNATURE)?.to_owned(), time, Some(seconds))
}

fn check_algorithm(found: &str) -> Result<(), Fault> {
    match found == ALGORITHM {
        true => Ok(()),
        false => Err(incomplete(format!("the request is signed by another algorithm: sign it with {ALGORITHM}"))),
    }
}

fn parts(
    credential: &str,
    signed: &str,
    signature: String,
    (time, stamp): (Timestamp, String),
    expires: Option<i64>,
) -> Result<Parts, Fault> {
    // From the end, as ids may have slashes in them.
    let mut fields = credential.rsplitn(5, '/').map(str::to_owned);
    let mut field = || fields.next().filter(|field| !field.is_empty());
    let (Some(terminator), Some(service), Some(region), Some(date), Some(key_id)) =
        (field(), field(), field(), field(), field())
    else {
        return Err(incomplete("Credential is not of the form KEY/DATE/REGION/SERVICE/aws4_request"));
    };
    let signed: Vec<String> = signed.split(';').map(str::to_owned).collect();
    let lower = |name: &String| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
    };
    if signed.len() > MAX_SIGNED || !signed.iter().all(lower) {
        return Err(incomplete(
            "SignedHeaders is not a list of header names in lower case with semicolons between them",
        ));
    }
    let scope = Scope { date, region, service, terminator };
    Ok(Parts { key_id, scope, signed, signature, time, stamp, expires })
}
