//! The API's members in the words of a file: rules are written once and speak of the API.

use crate::model::Fault;

/// What the API calls a thing, and what a file does. Longer names first where one holds another.
const TERMS: [(&str, &str); 22] = [
    ("UnhealthyThresholdCount", "unhealthy_threshold"),
    ("HealthyThresholdCount", "healthy_threshold"),
    ("HealthCheckIntervalSeconds", "interval_seconds"),
    ("HealthCheckTimeoutSeconds", "timeout_seconds"),
    ("HealthCheckProtocol", "protocol"),
    ("HealthCheckPort", "port"),
    ("HealthCheckPath", "path"),
    ("Matcher has HttpCode", "matcher is"),
    ("Matcher", "matcher"),
    ("PrivateIPv4Address", "private_ipv4_address"),
    ("AllocationId", "allocation_id"),
    ("IPv6Address", "ipv6_address"),
    ("IpAddressType", "ip_address_type"),
    ("SecurityGroups", "security_groups"),
    ("AvailabilityZone", "availability_zone"),
    ("TargetType", "target_type"),
    ("VpcId", "vpc"),
    ("Protocol is", "protocol is"),
    ("SslPolicy", "ssl_policy"),
    ("AlpnPolicy", "alpn_policy"),
    ("Certificates", "certificates"),
    ("CertificateArn", "certificates"),
];

/// What a rule says, for who reads a file. It may repeat what stands there, however long: that is cut.
pub(super) fn translate(fault: &Fault) -> String {
    const LONGEST: usize = 400;
    let text = TERMS.iter().fold(fault.message.clone(), |text, (api, file)| text.replace(api, file));
    let count = text.chars().count();
    if count <= LONGEST {
        return text;
    }
    let start: String = text.chars().take(LONGEST / 4).collect();
    let end: String = text.chars().skip(count - LONGEST / 2).collect();
    format!("{start}... ({count} characters) ...{end}")
}
