//! A call as a record of the audit log (guide, "Understanding Elastic Load Balancing log file entries").

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    api::{VERSION, cut},
    model::{Account, Fault},
    ops,
};

/// The longest record, in bytes with its newline.
pub const MAX_RECORD: usize = 64 << 10;
/// Members of a list that are kept when a record is too long.
const KEPT_MEMBERS: usize = 20;
/// Bytes of a text that are kept when a record is too long.
const KEPT_TEXT: usize = 256;

/// Who called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Identity {
    /// The owner of an access key.
    Key {
        /// The key's id.
        id: String,
        /// Its owner's name, if it has one.
        user: Option<String>,
    },
    /// A user of this machine, through the unix socket.
    Local {
        /// The number.
        uid: u32,
        /// The name, if it has one.
        name: Option<String>,
    },
    /// Nobody knows: the signature is missing or not valid.
    Unknown {
        /// The access key of ours that was named, by whomever.
        claimed: Option<String>,
    },
}

impl Identity {
    /// The user of this machine with this number.
    pub fn local(uid: u32) -> Self {
        let user = nix::unistd::User::from_uid(uid.into());
        Self::Local { uid, name: user.ok().flatten().map(|user| user.name) }
    }
}

/// Why a call was refused, in the words that the caller got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal<'a> {
    /// The error code.
    pub code: &'a str,
    /// The sentence.
    pub message: &'a str,
}

impl<'a> From<&'a Fault> for Refusal<'a> {
    fn from(fault: &'a Fault) -> Self {
        Self { code: fault.code.as_str(), message: &fault.message }
    }
}

/// A call and what came of it.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// When it came.
    pub time: Timestamp,
    /// Who called.
    pub identity: Identity,
    /// From where: an address, or `unix`.
    pub source: &'a str,
    /// What the caller says it is.
    pub user_agent: Option<&'a str>,
    /// The operation, if the request got as far as naming one.
    pub operation: Option<&'a str>,
    /// Its input, in the members of the API.
    pub input: Option<&'a Value>,
    /// Its output, or why it was refused.
    pub outcome: Result<&'a Value, Refusal<'a>>,
    /// The request's id, as the caller got it.
    pub request_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    event_version: &'static str,
    user_identity: Value,
    event_time: String,
    event_source: &'static str,
    event_name: &'a str,
    aws_region: &'a str,
    #[serde(rename = "sourceIPAddress")]
    source: &'a str,
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    request_parameters: Value,
    response_elements: Value,
    #[serde(rename = "requestID")]
    request_id: &'a str,
    #[serde(rename = "eventID")]
    event_id: String,
    read_only: bool,
    event_type: &'static str,
    api_version: &'static str,
    recipient_account_id: &'a str,
}

/// The record of a call, as a line.
pub fn line(call: &Call<'_>, account: &Account) -> String {
    let read_only = call.operation.is_some_and(ops::only_looks);
    let refusal = call.outcome.err();
    let message = refusal.map(|refusal| cut(refusal.message, 2048));
    let agent = call.user_agent.map(|agent| cut(agent, 512));
    let mut record = Record {
        event_version: "1.03",
        user_identity: identity(&call.identity, account),
        event_time: call.time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        event_source: "elasticloadbalancing.amazonaws.com",
        event_name: call.operation.unwrap_or("Unknown"),
        aws_region: &account.region,
        source: call.source,
        user_agent: agent.as_deref(),
        error_code: refusal.map(|refusal| refusal.code),
        error_message: message.as_deref(),
        request_parameters: call.input.map_or(Value::Null, elements),
        response_elements: call.outcome.ok().filter(|_| !read_only).map_or(Value::Null, elements),
        request_id: call.request_id,
        event_id: uuid::Uuid::new_v4().to_string(),
        read_only,
        event_type: "AwsApiCall",
        api_version: VERSION,
        recipient_account_id: &account.id,
    };
    let text = write(&record);
    if text.len() <= MAX_RECORD {
        return text;
    }
    // What was asked for is worth more than what was answered, which can be looked up.
    shorten(&mut record.request_parameters);
    shorten(&mut record.response_elements);
    let mut text = write(&record);
    for answered in [true, false] {
        if text.len() > MAX_RECORD {
            let part = if answered { &mut record.response_elements } else { &mut record.request_parameters };
            *part = json!({"omitted": format!("{} bytes", part.to_string().len())});
            text = write(&record);
        }
    }
    text
}

#[expect(clippy::expect_used, reason = "a record is texts, booleans and JSON values, which serde_json always writes")]
fn write(record: &Record<'_>) -> String {
    let mut text = serde_json::to_string(record).expect("a record is JSON");
    text.push('\n');
    text
}

fn identity(identity: &Identity, account: &Account) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    match identity {
        Identity::Key { id, user } => {
            let user = user.as_deref().unwrap_or(id);
            put("type", "IAMUser".into());
            put("principalId", account.id.as_str().into());
            put("arn", format!("arn:aws:iam::{}:user/{user}", account.id).into());
            put("accountId", account.id.as_str().into());
            put("accessKeyId", id.as_str().into());
            put("userName", user.into());
        }
        Identity::Local { uid, name } => {
            put("type", "LocalUser".into());
            put("uid", (*uid).into());
            put("userName", name.clone().unwrap_or_else(|| uid.to_string()).into());
        }
        Identity::Unknown { claimed } => {
            put("type", "Unknown".into());
            if let Some(id) = claimed {
                put("accessKeyId", id.as_str().into());
            }
        }
    }
    Value::Object(fields)
}

/// Input or output in the names of records. Nothing at all is null.
fn elements(value: &Value) -> Value {
    match renamed(value) {
        Value::Object(fields) if fields.is_empty() => Value::Null,
        value => value,
    }
}

fn renamed(value: &Value) -> Value {
    match value {
        Value::Array(members) => members.iter().map(renamed).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| {
                let value = if is_secret(name) { "HIDDEN_DUE_TO_SECURITY_REASONS".into() } else { renamed(value) };
                (lower_camel(name), value)
            });
            Value::Object(fields.collect())
        }
        value => value.clone(),
    }
}

/// No operation takes a secret, but who calls can send one all the same, under a name that no operation has.
fn is_secret(name: &str) -> bool {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    ["secret", "signature", "password", "token", "privatekey", "credential", "authorization"]
        .iter()
        .any(|word| name.contains(word))
}

/// `LoadBalancerArn` as `loadBalancerArn`, `DNSName` as `dnsName`.
fn lower_camel(name: &str) -> String {
    if let Some(rest) = name.strip_prefix("IPv") {
        return format!("ipv{rest}");
    }
    let capitals = name.bytes().take_while(u8::is_ascii_uppercase).count();
    let lowered = if capitals > 1 && capitals < name.len() { capitals - 1 } else { capitals };
    let (head, rest) = name.split_at(lowered);
    head.to_ascii_lowercase() + rest
}

/// Cuts long lists and texts, wherever they are.
fn shorten(value: &mut Value) {
    match value {
        Value::String(text) => *text = cut(text, KEPT_TEXT).into_owned(),
        Value::Array(members) => {
            let omitted = members.len().saturating_sub(KEPT_MEMBERS);
            members.truncate(KEPT_MEMBERS);
            members.iter_mut().for_each(shorten);
            if omitted > 0 {
                members.push(json!({"omitted": format!("{omitted} members")}));
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Code;

    fn account() -> Account {
        Account { region: "us-west-2".into(), id: "123456789012".into() }
    }

    fn call<'a>(operation: &'a str, input: &'a Value, outcome: Result<&'a Value, Refusal<'a>>) -> Call<'a> {
        Call {
            time: "2016-04-01T15:31:48.75Z".parse().unwrap(),
            identity: Identity::Key { id: "AKIAIOSFODNN7EXAMPLE".into(), user: Some("Alice".into()) },
            source: "198.51.100.1",
            user_agent: Some("aws-cli/1.10.10"),
            operation: Some(operation),
            input: Some(input),
            outcome,
            request_id: "b9960276-b9b2-11e3-8a13-f1ef1EXAMPLE",
        }
    }

    fn record(call: &Call<'_>) -> Value {
        let line = line(call, &account());
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1 && line.len() <= MAX_RECORD, "{line}");
        serde_json::from_str(&line).unwrap()
    }

    /// The guide's example, in its members.
    #[test]
    fn a_change() {
        let input =
            json!({"Subnets": ["subnet-8360a9e7"], "Name": "my-load-balancer", "Type": "network", "Tags": null});
        let output = json!({"LoadBalancers": [{
            "DNSName": "my-load-balancer-1.elb", "VpcId": "vpc-1", "State": {"Code": "provisioning"},
            "AvailabilityZones": [{"LoadBalancerAddresses": [{"IPv6Address": "::1", "PrivateIPv4Address": "1.1.1.1"}]}],
        }]});
        let mut record = record(&call("CreateLoadBalancer", &input, Ok(&output)));
        let event_id = record.as_object_mut().unwrap().remove("eventID").unwrap();
        assert!(event_id.as_str().unwrap().parse::<uuid::Uuid>().is_ok());
        let expected = json!({
            "eventVersion": "1.03",
            "userIdentity": {
                "type": "IAMUser", "principalId": "123456789012", "arn": "arn:aws:iam::123456789012:user/Alice",
                "accountId": "123456789012", "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "userName": "Alice",
            },
            "eventTime": "2016-04-01T15:31:48Z",
            "eventSource": "elasticloadbalancing.amazonaws.com",
            "eventName": "CreateLoadBalancer",
            "awsRegion": "us-west-2",
            "sourceIPAddress": "198.51.100.1",
            "userAgent": "aws-cli/1.10.10",
            "requestParameters": {"subnets": ["subnet-8360a9e7"], "name": "my-load-balancer", "type": "network"},
            "responseElements": {"loadBalancers": [{
                "dnsName": "my-load-balancer-1.elb", "vpcId": "vpc-1", "state": {"code": "provisioning"},
                "availabilityZones": [
                    {"loadBalancerAddresses": [{"ipv6Address": "::1", "privateIPv4Address": "1.1.1.1"}]}],
            }]},
            "requestID": "b9960276-b9b2-11e3-8a13-f1ef1EXAMPLE",
            "readOnly": false,
            "eventType": "AwsApiCall",
            "apiVersion": "2015-12-01",
            "recipientAccountId": "123456789012",
        });
        assert_eq!(record, expected);
    }

    #[test]
    fn looking_and_void_calls_have_no_response() {
        let input = json!({"Names": ["web"]});
        let look = record(&call("DescribeTargetGroups", &input, Ok(&json!({"TargetGroups": []}))));
        assert_eq!((&look["responseElements"], &look["readOnly"]), (&Value::Null, &Value::Bool(true)));
        let void = record(&call("DeleteListener", &input, Ok(&json!({}))));
        assert_eq!((&void["responseElements"], &void["readOnly"]), (&Value::Null, &Value::Bool(false)));
    }

    #[test]
    fn refusals() {
        let fault = Fault::new(Code::TargetGroupNotFound, "no such group");
        let input = json!({});
        let record = record(&call("DeleteTargetGroup", &input, Err((&fault).into())));
        assert_eq!(record["errorCode"], "TargetGroupNotFound");
        assert_eq!(record["errorMessage"], "no such group");
        assert_eq!((&record["requestParameters"], &record["responseElements"]), (&Value::Null, &Value::Null));
    }

    #[test]
    fn identities() {
        let of = |it| identity(&it, &account());
        assert_eq!(of(Identity::Unknown { claimed: None }), json!({"type": "Unknown"}));
        let claimed = Identity::Unknown { claimed: Some("AKIA1".into()) };
        assert_eq!(of(claimed), json!({"type": "Unknown", "accessKeyId": "AKIA1"}));
        let nameless = of(Identity::Key { id: "AKIA1".into(), user: None });
        assert_eq!(nameless["arn"], "arn:aws:iam::123456789012:user/AKIA1");
        assert_eq!(of(Identity::local(0)), json!({"type": "LocalUser", "uid": 0, "userName": "root"}));
        assert_eq!(of(Identity::local(4_000_000_000))["userName"], "4000000000");
    }

    #[test]
    fn secrets_are_hidden_wherever_they_are() {
        let input =
            json!({"X-Amz-Signature": "5d67", "SecretAccessKey": {"a": "wJal"}, "A": [{"Password": "hunter2"}]});
        let line = line(&call("DescribeTags", &input, Ok(&Value::Null)), &account());
        for secret in ["5d67", "wJal", "hunter2"] {
            assert!(!line.contains(secret), "{line}");
        }
    }

    #[test]
    fn long_records_are_cut_where_it_hurts_least() {
        let targets: Vec<Value> = (0..3000).map(|at| json!({"Id": format!("i-{at:08}"), "Port": 80})).collect();
        let input = json!({"TargetGroupArn": "arn:g", "Targets": targets});
        let cut = record(&call("RegisterTargets", &input, Ok(&json!({}))));
        assert_eq!(cut["requestParameters"]["targetGroupArn"], "arn:g");
        let kept = cut["requestParameters"]["targets"].as_array().unwrap();
        assert_eq!((kept.len(), &kept[20]), (21, &json!({"omitted": "2980 members"})));

        let wide: Map<String, Value> = (0..9000).map(|at| (format!("Member{at}"), "some value".into())).collect();
        let wide = Value::Object(wide);
        let cut = record(&call("CreateRule", &json!({"Name": "web"}), Ok(&wide)));
        assert_eq!(cut["requestParameters"], json!({"name": "web"}));
        assert!(cut["responseElements"]["omitted"].as_str().unwrap().ends_with(" bytes"));
        let cut = record(&call("CreateRule", &wide, Ok(&wide)));
        assert!(cut["requestParameters"]["omitted"].as_str().unwrap().ends_with(" bytes"));

        let long = "é".repeat(100_000);
        let fault = Fault::validation(&long);
        let mut refused = call("CreateRule", &wide, Err((&fault).into()));
        refused.user_agent = Some(&long);
        assert!(record(&refused)["errorMessage"].as_str().unwrap().ends_with("..."));
    }

    #[test]
    fn names_of_members() {
        for (name, expected) in [
            ("LoadBalancerArn", "loadBalancerArn"),
            ("DNSName", "dnsName"),
            ("IpAddressType", "ipAddressType"),
            ("IPv6Address", "ipv6Address"),
            ("A", "a"),
            ("ARN", "arn"),
            ("name", "name"),
            ("", ""),
        ] {
            assert_eq!(lower_camel(name), expected);
        }
    }
}
