//! Signature Version 4: whether a request was made by the owner of an access key, for this server, now.
//!
//! `parts` finds the signature in a request, `canonical` writes down what it has to cover.

mod canonical;
mod parts;
#[cfg(test)]
mod tests;

use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::{HeaderMap, Method, Uri, header::HOST};
use jiff::{SignedDuration, Timestamp};
use sha2::Sha256;
use tracing::debug;

use super::{
    cut,
    keys::{Secret, SharedKeys},
    query,
};
use crate::model::{Code, Fault};

pub use canonical::path;
use canonical::{Canonical, sha256};
use parts::{ALGORITHM, Parts, Presigned, Query};

/// The service that requests are signed for.
const SERVICE: &str = "elasticloadbalancing";
/// What every scope ends with.
const TERMINATOR: &str = "aws4_request";
/// How far a client's clock may be off.
const SKEW: SignedDuration = SignedDuration::from_mins(15);
/// What stands for the hash of a body that is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// A request, as it was received.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path and query.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body.
    pub body: &'a [u8],
    /// Whether it came over TLS, so that nobody could change it on the way.
    pub tls: bool,
}

/// Who made a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signer {
    /// The id of the access key.
    pub key_id: String,
    /// Its owner's name, if it has one.
    pub user: Option<String>,
}

/// Why a request is not believed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denied {
    /// The refusal.
    pub fault: Fault,
    /// The access key that the request names, if it is one of ours. That its owner made the request is not proven.
    pub key_id: Option<String>,
}

impl From<Fault> for Denied {
    fn from(fault: Fault) -> Self {
        Self { fault, key_id: None }
    }
}

/// Verifies a request's signature.
///
/// # Errors
/// `MissingAuthenticationToken`, `IncompleteSignature`, `InvalidClientTokenId` or `SignatureDoesNotMatch`.
pub fn verify(request: Received<'_>, region: &str, keys: &SharedKeys, now: Timestamp) -> Result<Signer, Denied> {
    let query = Presigned::new(request.uri.query().unwrap_or_default());
    let parts = parts::find(request.headers, &query)?;
    let Some(key) = keys.find(&parts.key_id) else {
        let why = "the access key of the request is not one of this node's; see access_key in node.toml";
        return Err(Fault::new(Code::InvalidClientTokenId, why).into());
    };
    let key_id = parts.key_id.clone();
    let matches = check_scope(&parts, region)
        .and_then(|()| check_time(&parts, now))
        .and_then(|()| check_headers(&parts, request.headers))
        .and_then(|()| check_signature(&parts, request, &query.signed(), &key.secret));
    match matches {
        Ok(()) => Ok(Signer { key_id, user: key.user }),
        Err(fault) => Err(Denied { fault, key_id: Some(key_id) }),
    }
}

/// The parameters of a call in a URL's query: those that are not the signature's.
///
/// # Errors
/// `MalformedQueryString` if they are not UTF-8.
pub fn parameters(query: &str) -> Result<Vec<query::Pair>, Fault> {
    let call = Presigned::new(query).call.into_iter();
    call.map(|(name, value)| Ok((query::text(name)?, query::text(value)?))).collect()
}

fn differs(why: impl Into<String>) -> Fault {
    Fault::new(Code::SignatureDoesNotMatch, why)
}

fn check_scope(parts: &Parts, region: &str) -> Result<(), Fault> {
    let scope = &parts.scope;
    for (what, found, expected) in [
        ("region", scope.region.as_str(), region),
        ("service", &scope.service, SERVICE),
        ("terminator", &scope.terminator, TERMINATOR),
        ("date", &scope.date, &parts.stamp[..8]),
    ] {
        if found != expected {
            let found = cut(found, 64);
            return Err(differs(format!("Credential should be scoped to the {what} {expected:?}, not to {found:?}")));
        }
    }
    Ok(())
}

fn check_time(parts: &Parts, now: Timestamp) -> Result<(), Fault> {
    let text = |time: Timestamp| time.strftime("%Y%m%dT%H%M%SZ").to_string();
    let (signed, clock) = (&parts.stamp, text(now));
    if parts.time.duration_since(now) > SKEW {
        let latest = text(now.saturating_add(SKEW).unwrap_or(Timestamp::MAX));
        return Err(differs(format!(
            "Signature not yet current: {signed} is still later than {latest} ({clock} + 15 min.)"
        )));
    }
    let life = parts.expires.map_or(SKEW, SignedDuration::from_secs);
    if now.duration_since(parts.time) > life {
        let least = text(now.saturating_sub(life).unwrap_or(Timestamp::MIN));
        return Err(differs(format!(
            "Signature expired: {signed} is now earlier than {least} ({clock} - {} s)",
            life.as_secs()
        )));
    }
    Ok(())
}

fn check_headers(parts: &Parts, headers: &HeaderMap) -> Result<(), Fault> {
    let signed = |name: &str| parts.signed.iter().any(|signed| signed == name);
    if !signed(HOST.as_str()) {
        return Err(differs("the host header is not signed: name it in SignedHeaders"));
    }
    if headers.get_all(HOST).iter().count() > 1 {
        return Err(differs("the request has more than one Host header"));
    }
    match parts.signed.iter().find(|name| !headers.contains_key(name.as_str())) {
        Some(name) => Err(differs(format!("the header {:?} is signed, but did not arrive", cut(name, 64)))),
        None => Ok(()),
    }
}

fn check_signature(parts: &Parts, request: Received<'_>, query: &Query, secret: &Secret) -> Result<(), Fault> {
    let canonical = Canonical {
        method: request.method.as_str(),
        path: request.uri.path(),
        query,
        headers: request.headers,
        signed: &parts.signed,
        payload: &payload(request)?,
    };
    let canonical = canonical.bytes();
    debug!("canonical request: {:?}", String::from_utf8_lossy(&canonical));
    let scope = &parts.scope;
    let context = [&scope.date, &scope.region, &scope.service, &scope.terminator];
    let text =
        format!("{ALGORITHM}\n{}\n{}\n{}", parts.stamp, context.map(String::as_str).join("/"), sha256(&canonical));
    let mut key = format!("AWS4{}", secret.expose()).into_bytes();
    for part in context {
        key = mac(&key, part.as_bytes()).finalize().into_bytes().to_vec();
    }
    let found = hex::decode(&parts.signature).unwrap_or_default();
    // Takes as long whichever byte differs first.
    mac(&key, text.as_bytes()).verify_slice(&found).map_err(|_| {
        let host = request.headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes())).unwrap_or_default();
        differs(format!(
            "the signature is not the one that the secret of the access key gives for this request; check the secret, and \
             that nothing on the way changed the request: it arrived for host {:?}",
            cut(&host, 256)
        ))
    })
}

/// What stands for the body in what is signed.
fn payload(request: Received<'_>) -> Result<String, Fault> {
    let hash = sha256(request.body);
    match request.headers.get("x-amz-content-sha256").map(hyper::header::HeaderValue::as_bytes) {
        None => Ok(hash),
        Some(claimed) if claimed == hash.as_bytes() => Ok(hash),
        Some(claimed) if claimed == UNSIGNED.as_bytes() && request.tls => Ok(UNSIGNED.to_owned()),
        Some(claimed) if claimed == UNSIGNED.as_bytes() => {
            Err(differs("x-amz-content-sha256 is UNSIGNED-PAYLOAD: without TLS the body has to be signed"))
        }
        Some(_) => Err(differs("x-amz-content-sha256 is not the SHA-256 of the body that arrived, in lower case")),
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 2)")]
fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
    mac.update(message);
    mac
}

/// Signs like a client does; for tests of what is behind the signature.
#[cfg(test)]
pub mod sign {
    use super::*;

    /// The `Authorization` header of a request with these headers, of which all are signed.
    pub fn authorization(request: Received<'_>, (key_id, secret): (&str, &str), region: &str, stamp: &str) -> String {
        let signed: Vec<String> = {
            let mut names: Vec<_> = request.headers.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort_unstable();
            names
        };
        let query = Presigned::new(request.uri.query().unwrap_or_default()).signed();
        let canonical = Canonical {
            method: request.method.as_str(),
            path: request.uri.path(),
            query: &query,
            headers: request.headers,
            signed: &signed,
            payload: &match request.headers.get("x-amz-content-sha256") {
                Some(claimed) => claimed.to_str().unwrap().to_owned(),
                None => sha256(request.body),
            },
        };
        let scope = format!("{}/{region}/{SERVICE}/{TERMINATOR}", &stamp[..8]);
        let text = format!("{ALGORITHM}\n{stamp}\n{scope}\n{}", sha256(&canonical.bytes()));
        let key = [&stamp[..8], region, SERVICE, TERMINATOR]
            .iter()
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| {
                mac(&key, part.as_bytes()).finalize().into_bytes().to_vec()
            });
        let signature = hex::encode(mac(&key, text.as_bytes()).finalize().into_bytes());
        format!("{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={}, Signature={signature}", signed.join(";"))
    }
}
