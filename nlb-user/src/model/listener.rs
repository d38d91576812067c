//! Listeners.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Arn, Protocol};

/// A protocol and port that a load balancer serves on all its addresses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listener {
    /// `listener/net/NAME/ID/ID`.
    pub arn: Arn,
    /// Whose it is.
    pub load_balancer: Arn,
    /// What it accepts.
    pub protocol: Protocol,
    /// 1 to 65535. A port serves one protocol: TCP and UDP can't share it but as `TCP_UDP`, unless a file put both there.
    pub port: u16,
    /// Where its default rule forwards to.
    pub target_group: Arn,
    /// `listener-rule/...` of its only rule.
    pub default_rule: Arn,
    /// Certificates by ARN: the default one first, then those of the certificate list. Empty unless TLS.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Security policy; `None` unless TLS.
    #[serde(default)]
    pub ssl_policy: Option<String>,
    /// ALPN policy; `None` if none was given, or `None` was.
    #[serde(default)]
    pub alpn_policy: Option<String>,
    /// Attributes that were set, by key.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// Tags, by key.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}
