//! What the values of `node.toml` may be.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf};

use serde::{Deserialize, Deserializer, de::Error as _};

/// Bounds of `max_flows`. The upper one is 6 GiB of flow tables.
pub const MAX_FLOWS: RangeInclusive<u32> = 1024..=16_777_216;
/// Bounds of `max_bytes` of the audit log.
pub const AUDIT_BYTES: RangeInclusive<u64> = 65_536..=1 << 40;
/// Bounds of `keep` of the audit log.
pub const AUDIT_KEEP: RangeInclusive<u32> = 0..=1000;
/// How long a zone's or a region's name may be, in bytes.
const MAX_NAME: usize = 32;
/// How long a unix socket's path may be: `sun_path` without its final zero byte, see unix(7).
const MAX_SOCKET: usize = 107;

pub fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    name("zone", deserializer)
}

pub fn region<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    name("region", deserializer)
}

fn name<'de, D: Deserializer<'de>>(what: &str, deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(name);
    }
    Err(D::Error::custom(format!("{what}: found {name:?}, allowed are 1 to {MAX_NAME} characters of a-z, 0-9 and -")))
}

pub fn account_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(id);
    }
    Err(D::Error::custom(format!("account_id: found {id:?}, allowed are 12 digits")))
}

pub fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.is_absolute() {
        return Ok(path);
    }
    Err(D::Error::custom(format!("found {path:?}, allowed are absolute paths (beginning with /)")))
}

pub fn socket<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    match path.as_os_str().len() {
        0..=MAX_SOCKET => Ok(path),
        len => Err(D::Error::custom(format!("socket: found a path of {len} bytes, at most {MAX_SOCKET} are allowed"))),
    }
}

pub fn max_flows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within("max_flows", MAX_FLOWS, deserializer)
}

pub fn max_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within("max_bytes", AUDIT_BYTES, deserializer)
}

pub fn keep<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within("keep", AUDIT_KEEP, deserializer)
}

fn within<'de, N, D>(what: &str, range: RangeInclusive<N>, deserializer: D) -> Result<N, D::Error>
where
    N: TryFrom<i64> + PartialOrd + std::fmt::Display,
    D: Deserializer<'de>,
{
    let found = i64::deserialize(deserializer)?;
    N::try_from(found).ok().filter(|found| range.contains(found)).ok_or_else(|| {
        let (least, most) = range.into_inner();
        D::Error::custom(format!("{what}: found {found}, allowed are {least} to {most}"))
    })
}

pub fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let mut addresses = Vec::new();
    for text in Vec::<String>::deserialize(deserializer)? {
        let Ok(address) = text.parse() else {
            let allowed = "allowed are ADDR:PORT and [ADDR]:PORT";
            return Err(D::Error::custom(format!("listen: found {text:?}, {allowed}")));
        };
        if addresses.contains(&address) {
            return Err(D::Error::custom(format!("listen: found {text} twice, once is enough")));
        }
        addresses.push(address);
    }
    Ok(addresses)
}
