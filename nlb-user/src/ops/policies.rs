//! Security policies and ALPN policies of TLS listeners, as data (guide, "Security policies" and "ALPN policies").

use serde::{Deserialize, Serialize};

use super::{Context, paging::Paging};
use crate::model::{Code, Fault, State};

/// The policy of listeners that name none: that of the reference's command line.
pub const DEFAULT_SECURITY: &str = "ELBSecurityPolicy-2016-08";

/// What a policy's name begins with.
const PREFIX: &str = "ELBSecurityPolicy-";

/// The policies, in the order of the guide's list, without their prefix, and the column of each below. The last one is the
/// same as `2016-08`.
const POLICIES: [(&str, usize); 18] = [
    ("TLS13-1-2-2021-06", 0),
    ("TLS13-1-2-Res-2021-06", 1),
    ("TLS13-1-2-Ext1-2021-06", 2),
    ("TLS13-1-2-Ext2-2021-06", 3),
    ("TLS13-1-1-2021-06", 4),
    ("TLS13-1-0-2021-06", 5),
    ("TLS13-1-3-2021-06", 6),
    ("FS-1-2-Res-2020-10", 7),
    ("FS-1-2-Res-2019-08", 8),
    ("FS-1-2-2019-08", 9),
    ("FS-1-1-2019-08", 10),
    ("FS-2018-06", 11),
    ("TLS-1-2-Ext-2018-06", 12),
    ("TLS-1-2-2017-01", 13),
    ("TLS-1-1-2017-01", 14),
    ("2016-08", 15),
    ("TLS-1-0-2015-04", 16),
    ("2015-05", 15),
];

/// Protocols and the policies that allow them: a column a policy.
const PROTOCOLS: [(&str, &[u8; 17]); 4] = [
    ("TLSv1", b".....x.....x...xx"),
    ("TLSv1.1", b"....xx....xx..xxx"),
    ("TLSv1.2", b"xxxxxx.xxxxxxxxxx"),
    ("TLSv1.3", b"xxxxxxx.........."),
];

/// Ciphers in the order of preference, and the policies that allow them.
const CIPHERS: [(&str, &[u8; 17]); 22] = [
    ("TLS-AES-128-GCM-SHA256", b"xxxxxxx.........."),
    ("TLS-AES-256-GCM-SHA384", b"xxxxxxx.........."),
    ("TLS-CHACHA20-POLY1305-SHA256", b"xxxxxxx.........."),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", b"xxxxxx.xxxxxxxxxx"),
    ("ECDHE-RSA-AES128-GCM-SHA256", b"xxxxxx.xxxxxxxxxx"),
    ("ECDHE-ECDSA-AES128-SHA256", b"x.xxxx..xxxxxxxxx"),
    ("ECDHE-RSA-AES128-SHA256", b"x.xxxx..xxxxxxxxx"),
    ("ECDHE-ECDSA-AES128-SHA", b"...xxx...xxxx.xxx"),
    ("ECDHE-RSA-AES128-SHA", b"...xxx...xxxx.xxx"),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", b"xxxxxx.xxxxxxxxxx"),
    ("ECDHE-RSA-AES256-GCM-SHA384", b"xxxxxx.xxxxxxxxxx"),
    ("ECDHE-ECDSA-AES256-SHA384", b"x.xxxx..xxxxxxxxx"),
    ("ECDHE-RSA-AES256-SHA384", b"x.xxxx..xxxxxxxxx"),
    ("ECDHE-RSA-AES256-SHA", b"...xxx...xxxx.xxx"),
    ("ECDHE-ECDSA-AES256-SHA", b"...xxx...xxxx.xxx"),
    ("AES128-GCM-SHA256", b"..xxxx......xxxxx"),
    ("AES128-SHA256", b"..xxxx......xxxxx"),
    ("AES128-SHA", b"...xxx......x.xxx"),
    ("AES256-GCM-SHA384", b"..xxxx......xxxxx"),
    ("AES256-SHA256", b"..xxxx......xxxxx"),
    ("AES256-SHA", b"...xxx......x.xxx"),
    ("DES-CBC3-SHA", b"................x"),
];

/// The ALPN policies and the protocols that each prefers, in order.
const ALPN: [(&str, &[&str]); 5] = [
    ("HTTP1Only", &["http/1.1", "http/1.0"]),
    ("HTTP2Only", &["h2"]),
    ("HTTP2Optional", &["http/1.1", "http/1.0", "h2"]),
    ("HTTP2Preferred", &["h2", "http/1.1", "http/1.0"]),
    ("None", &[]),
];

/// What clients and load balancer can agree on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecurityPolicy {
    /// Its whole name.
    pub name: String,
    /// `TLSv1` and so on, oldest first.
    pub protocols: Vec<&'static str>,
    /// The most preferred first.
    pub ciphers: Vec<&'static str>,
}

/// The security policy of this name.
pub fn security(name: &str) -> Option<SecurityPolicy> {
    let short = name.strip_prefix(PREFIX)?;
    POLICIES.iter().find(|(policy, _)| *policy == short).map(policy)
}

fn policy(&(name, column): &(&'static str, usize)) -> SecurityPolicy {
    let allowed = |rows: &[(&'static str, &[u8; 17])]| {
        rows.iter().filter(|(_, policies)| policies[column] == b'x').map(|(name, _)| *name).collect()
    };
    SecurityPolicy { name: format!("{PREFIX}{name}"), protocols: allowed(&PROTOCOLS), ciphers: allowed(&CIPHERS) }
}

/// What the ALPN policy of this name prefers, in order; nothing for `None`.
pub fn alpn(name: &str) -> Option<&'static [&'static str]> {
    ALPN.iter().find(|(policy, _)| *policy == name).map(|(_, protocols)| *protocols)
}

/// The names of the ALPN policies, for sentences.
pub fn alpn_names() -> String {
    ALPN.map(|(name, _)| name).join(", ")
}

/// That there is no such security policy.
pub fn unknown(name: &str) -> Fault {
    let message = format!("there is no security policy {name}: `describe-ssl-policies` lists the {}", POLICIES.len());
    Fault::new(Code::SslPolicyNotFound, message)
}

/// What `DescribeSSLPolicies` is asked.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInput {
    #[serde(default)]
    names: Vec<String>,
    load_balancer_type: Option<String>,
    marker: Option<String>,
    page_size: Option<i64>,
}

/// What it answers.
#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeOutput {
    ssl_policies: Vec<Described>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
struct Described {
    name: String,
    ssl_protocols: Vec<&'static str>,
    ciphers: Vec<Cipher>,
    supported_load_balancer_types: [&'static str; 1],
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
struct Cipher {
    name: &'static str,
    priority: usize,
}

/// Runs `DescribeSSLPolicies`.
///
/// # Errors
/// `SSLPolicyNotFound` for a name that there is not; `ValidationError`.
pub fn describe(_: &State, input: DescribeInput, _: &Context<'_>) -> Result<DescribeOutput, Fault> {
    let found: Vec<SecurityPolicy> = match (input.load_balancer_type.as_deref(), input.names.as_slice()) {
        (None | Some("network"), []) => POLICIES.iter().map(policy).collect(),
        (None | Some("network"), names) => {
            names.iter().map(|name| security(name).ok_or_else(|| unknown(name))).collect::<Result<_, _>>()?
        }
        (Some("application" | "gateway"), _) => Vec::new(),
        (Some(other), _) => {
            let message = format!("LoadBalancerType is {other}: allowed are application, gateway and network");
            return Err(Fault::validation(message));
        }
    };
    let paging = Paging::new("ssl-policies", input.page_size, input.marker.as_deref())?;
    let (page, next_marker) = paging.page_of_list(found);
    Ok(DescribeOutput { ssl_policies: page.into_iter().map(described).collect(), next_marker })
}

fn described(policy: SecurityPolicy) -> Described {
    let ciphers = policy.ciphers.into_iter().zip(1..).map(|(name, priority)| Cipher { name, priority });
    Described {
        name: policy.name,
        ssl_protocols: policy.protocols,
        ciphers: ciphers.collect(),
        supported_load_balancer_types: ["network"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::World;
    use serde_json::json;

    /// How many ciphers each policy has, counted in the guide's tables.
    #[test]
    fn all_eighteen_as_the_guide_has_them() {
        let counts = [11, 7, 15, 21, 21, 21, 3, 4, 8, 12, 12, 12, 18, 12, 18, 18, 19, 18];
        for ((name, column), count) in POLICIES.iter().zip(counts) {
            let found = policy(&(name, *column));
            assert_eq!(found.ciphers.len(), count, "{name}");
            assert_eq!(security(&found.name), Some(found));
        }
        assert_eq!(security("ELBSecurityPolicy-TLS13-1-3-2021-06").unwrap().protocols, ["TLSv1.3"]);
        assert_eq!(security(DEFAULT_SECURITY).unwrap().protocols, ["TLSv1", "TLSv1.1", "TLSv1.2"]);
        let (same, other) = (security(DEFAULT_SECURITY).unwrap(), security("ELBSecurityPolicy-2015-05").unwrap());
        assert_eq!((same.protocols, same.ciphers), (other.protocols, other.ciphers));
        let weak = POLICIES.iter().filter(|it| policy(it).ciphers.contains(&"DES-CBC3-SHA"));
        assert_eq!(weak.map(|(name, _)| *name).collect::<Vec<_>>(), ["TLS-1-0-2015-04"]);
        assert_eq!(security("2016-08"), None);
    }

    #[test]
    fn alpn_preferences() {
        assert_eq!(alpn("HTTP2Preferred").unwrap(), ["h2", "http/1.1", "http/1.0"]);
        assert_eq!(alpn("None"), Some(&[][..]));
        assert_eq!(alpn("http2only"), None);
    }

    #[test]
    fn they_are_described_by_name_by_kind_and_by_page() {
        let mut world = World::new();
        let all = world.call("DescribeSSLPolicies", json!({}));
        assert_eq!(all["SslPolicies"].as_array().unwrap().len(), 18);
        let one = world.call("DescribeSSLPolicies", json!({"Names": ["ELBSecurityPolicy-TLS13-1-3-2021-06"]}));
        let expected = json!([
            {"Name": "TLS-AES-128-GCM-SHA256", "Priority": 1},
            {"Name": "TLS-AES-256-GCM-SHA384", "Priority": 2},
            {"Name": "TLS-CHACHA20-POLY1305-SHA256", "Priority": 3},
        ]);
        assert_eq!(one["SslPolicies"][0]["Ciphers"], expected);
        assert_eq!(one["SslPolicies"][0]["SupportedLoadBalancerTypes"], json!(["network"]));
        let none = world.call("DescribeSSLPolicies", json!({"LoadBalancerType": "gateway"}));
        assert_eq!(none, json!({"SslPolicies": []}));
        let page = world.call("DescribeSSLPolicies", json!({"PageSize": 10}));
        let rest = world.call("DescribeSSLPolicies", json!({"PageSize": 10, "Marker": page["NextMarker"]}));
        assert_eq!(rest["SslPolicies"].as_array().unwrap().len(), 8);
        assert_eq!(rest.get("NextMarker"), None);
        world.refused(Code::SslPolicyNotFound, "DescribeSSLPolicies", json!({"Names": ["nonsense"]}));
        world.refused(Code::ValidationError, "DescribeSSLPolicies", json!({"LoadBalancerType": "classic"}));
    }
}
