//! How commands run operations of the API: through the controller's socket, with names in place of ARNs.

use std::{fmt, str::FromStr};

use anyhow::{Result, bail};
use serde::Serialize;
use serde_json::{Map, Value};

use super::output::Show;
use crate::{
    control::{Answer, Request},
    node::Node,
};

/// The controller refused an operation; nothing was changed.
#[derive(PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Fault {
    /// A code of the API.
    pub code: String,
    message: String,
}

/// The operations of a node's controller.
#[derive(Clone, Copy)]
pub struct Api<'a> {
    ask: &'a dyn Fn(&Request) -> Result<Answer>,
}

/// Does something with the operations of the node's controller.
///
/// # Errors
/// As `run`.
pub fn with<T>(node: &Node, run: impl FnOnce(Api<'_>) -> Result<T>) -> Result<T> {
    run(Api { ask: &|request| super::ask(node, request) })
}

impl Api<'_> {
    /// Runs an operation. What it warns of goes to standard error.
    ///
    /// # Errors
    /// [`Fault`] if it is refused; others if there is no controller.
    pub fn call(self, operation: &str, input: Input) -> Result<Value> {
        match (self.ask)(&Request::Call { operation: operation.to_owned(), input: Value::Object(input.0) })? {
            Answer::Done { output, warnings } => {
                warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
                Ok(output)
            }
            Answer::Fault { code, message } => Err(Fault { code, message }.into()),
            _ => bail!("the controller answered another question; use the nlb it was started from"),
        }
    }

    /// Runs an operation that describes a list, page after page: all of the list's members as if they were one page.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub fn all(self, operation: &str, input: Input, list: &str) -> Result<Value> {
        let mut all: Vec<Value> = Vec::new();
        let mut marker = None;
        loop {
            let mut output = self.call(operation, input.clone().maybe("Marker", marker.take()))?;
            if let Some(Value::Array(page)) = output.get_mut(list).map(Value::take) {
                all.extend(page);
            }
            match said(&output, "NextMarker") {
                end if end.is_empty() => break Ok(Value::Object(Map::from_iter([(list.to_owned(), all.into())]))),
                next => marker = Some(next),
            }
        }
    }

    /// The ARN of a load balancer, of its name or ARN.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub fn load_balancer(self, name: &str) -> Result<String> {
        self.named(name, "DescribeLoadBalancers", "LoadBalancers", "LoadBalancerArn")
    }

    /// The ARN of a target group, of its name or ARN.
    ///
    /// # Errors
    /// As [`Api::call`].
    pub fn target_group(self, name: &str) -> Result<String> {
        self.named(name, "DescribeTargetGroups", "TargetGroups", "TargetGroupArn")
    }

    fn named(self, name: &str, operation: &str, list: &str, arn: &str) -> Result<String> {
        if name.starts_with("arn:") {
            return Ok(name.to_owned());
        }
        let output = self.call(operation, Input::new().with("Names", vec![name]))?;
        Ok(said(first(&output, list), arn))
    }

    /// The ARN of a listener, of its ARN or of `LOAD-BALANCER/PROTOCOL:PORT`.
    ///
    /// # Errors
    /// As [`Api::call`]; if there is no such listener.
    pub fn listener(self, name: &str) -> Result<String> {
        if name.starts_with("arn:") {
            return Ok(name.to_owned());
        }
        let Some((balancer, endpoint)) = name.split_once('/') else {
            bail!("found {name:?} for a listener; give its ARN, or LOAD-BALANCER/PROTOCOL:PORT as in web/TCP:80");
        };
        let endpoint: Endpoint = endpoint.parse().map_err(anyhow::Error::msg)?;
        let input = Input::new().with("LoadBalancerArn", self.load_balancer(balancer)?);
        let listeners = self.all("DescribeListeners", input, "Listeners")?;
        let found = members(&listeners, "Listeners")
            .find(|it| said(it, "Protocol") == endpoint.protocol && said(it, "Port") == endpoint.port.to_string());
        match found {
            Some(listener) => Ok(said(listener, "ListenerArn")),
            None => bail!(
                "load balancer {balancer} has no listener {}:{}; `nlb listener list {balancer}` shows those it has",
                endpoint.protocol,
                endpoint.port
            ),
        }
    }

    /// The ARN of a thing that has tags: `load-balancer/NAME`, `target-group/NAME`, `listener/NAME/PROTOCOL:PORT`; the
    /// kind may be left out where there is only one such thing.
    ///
    /// # Errors
    /// As [`Api::call`]; if there is no such thing, or there are two.
    pub fn resource(self, name: &str) -> Result<String> {
        match name.split_once('/') {
            _ if name.starts_with("arn:") => Ok(name.to_owned()),
            Some(("load-balancer", name)) => self.load_balancer(name),
            Some(("target-group", name)) => self.target_group(name),
            Some(("listener", name)) => self.listener(name),
            Some(_) => self.listener(name),
            None => match (found(self.load_balancer(name))?, found(self.target_group(name))?) {
                (Some(arn), None) | (None, Some(arn)) => Ok(arn),
                (None, None) => bail!("there is neither a load balancer nor a target group {name}"),
                (Some(_), Some(_)) => bail!(
                    "{name} is a load balancer and a target group: say load-balancer/{name} or target-group/{name}"
                ),
            },
        }
    }
}

/// `None` for what is not found.
fn found(arn: Result<String>) -> Result<Option<String>> {
    match arn {
        Ok(arn) => Ok(Some(arn)),
        // An invalid name of the one kind is an invalid name of the other, too: nothing has it.
        Err(error) => match error.downcast_ref::<Fault>() {
            Some(fault) if fault.code.ends_with("NotFound") || fault.code == "ValidationError" => Ok(None),
            _ => Err(error),
        },
    }
}

/// An operation's input, in the members of the API.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Input(Map<String, Value>);

impl Input {
    /// Without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// With this member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// With this member, if there is a value for it.
    #[must_use]
    pub fn maybe(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With this list, unless it is empty.
    #[must_use]
    pub fn list<T: Into<Value>>(self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        if values.is_empty() { self } else { self.with(name, values) }
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Input> for Value {
    fn from(input: Input) -> Self {
        Self::Object(input.0)
    }
}

/// `KEY=VALUE`: a tag, or an attribute of a resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pair {
    /// Before the first `=`.
    pub key: String,
    /// After it.
    pub value: String,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self { key: key.to_owned(), value: value.to_owned() }),
            _ => Err("expected KEY=VALUE".to_owned()),
        }
    }
}

impl From<Pair> for Value {
    fn from(pair: Pair) -> Self {
        Input::new().with("Key", pair.key).with("Value", pair.value).into()
    }
}

/// `PROTOCOL:PORT`: where a listener listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// As the API writes it.
    pub protocol: String,
    /// Its port.
    pub port: u16,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let endpoint = text.split_once(':').filter(|(protocol, _)| !protocol.is_empty());
        let endpoint = endpoint.and_then(|(protocol, port)| Some((protocol, port.parse().ok()?)));
        let (protocol, port) =
            endpoint.ok_or_else(|| format!("found {text:?}, expected PROTOCOL:PORT as in TCP:80"))?;
        Ok(Self { protocol: protocol.to_uppercase(), port })
    }
}

/// A member of an output as text: numbers and truth values too; nothing if it is absent.
pub fn said(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The members of a list of an output; none if the list is absent.
pub fn members<'a>(value: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[list].as_array().into_iter().flatten()
}

/// The first member of a list.
pub fn first<'a>(value: &'a Value, list: &str) -> &'a Value {
    &value[list][0]
}

/// The last part of a resource's name in an ARN, which is how people call it: `web` of `.../loadbalancer/net/web/1234`.
pub fn short(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or(arn);
    let parts: Vec<&str> = resource.split('/').collect();
    match parts.as_slice() {
        ["targetgroup", name, _] | ["loadbalancer" | "listener" | "listener-rule", _, name, ..] => name,
        _ => arn,
    }
}

/// An output and what of it is for people.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Told {
    /// The operation's own output.
    pub output: Value,
    /// With its final newline.
    #[serde(skip)]
    pub text: String,
}

impl Show for Told {
    fn text(&self) -> String {
        self.text.clone()
    }
}

/// Several outputs as one: members of the same name are the last one's.
pub fn together(outputs: impl IntoIterator<Item = Value>) -> Value {
    let objects = outputs.into_iter().filter_map(|output| match output {
        Value::Object(members) => Some(members),
        _ => None,
    });
    Value::Object(objects.flatten().collect())
}

/// Lines of a name and a value each; those without a value are left out.
pub fn fields<const N: usize>(fields: [(&str, String); N]) -> String {
    let told = fields.iter().filter(|(_, value)| !value.is_empty());
    let width = told.clone().map(|(name, _)| name.len()).max().unwrap_or_default();
    told.map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
}

/// A heading and what is under it, set off by an empty line; nothing if there is nothing under it.
pub fn section(heading: &str, text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!("\n{heading}\n{}", text.lines().map(|line| format!("  {line}\n")).collect::<String>()),
    }
}

/// Tags or attributes, one `KEY = VALUE` a line.
pub fn pairs<'a>(pairs: impl Iterator<Item = &'a Value>) -> String {
    pairs.map(|pair| format!("{} = {}\n", said(pair, "Key"), said(pair, "Value")).replace(" \n", "\n")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use serde_json::json;
    use std::cell::RefCell;

    /// What a controller answers, in order, and what it is asked: `[operation, input]`.
    pub(in crate::cli) fn scripted<T>(
        answers: Vec<Value>,
        run: impl FnOnce(Api<'_>) -> Result<T>,
    ) -> (Result<T>, Vec<Value>) {
        let answers = RefCell::new(answers.into_iter());
        let asked = RefCell::new(Vec::new());
        let result = run(Api {
            ask: &|request| {
                let Request::Call { operation, input } = request else { bail!("not a call: {request:?}") };
                asked.borrow_mut().push(json!([operation, input]));
                let answer = answers.borrow_mut().next().unwrap_or_else(|| panic!("one call too many: {operation}"));
                Ok(match answer.get("fault") {
                    Some(code) => Answer::Fault {
                        code: code.as_str().unwrap_or_default().into(),
                        message: "no such thing".into(),
                    },
                    None => Answer::Done { output: answer, warnings: vec![] },
                })
            },
        });
        (result, asked.into_inner())
    }

    fn listeners() -> Value {
        json!({"Listeners": [
            {"ListenerArn": "arn:l1", "Protocol": "TCP", "Port": 80},
            {"ListenerArn": "arn:l2", "Protocol": "UDP", "Port": 53},
        ]})
    }

    #[test]
    fn listeners_are_found_by_where_they_listen() {
        let balancer = json!({"LoadBalancers": [{"LoadBalancerArn": "arn:b"}]});
        let (arn, asked) = scripted(vec![balancer.clone(), listeners()], |api| api.listener("web/udp:53"));
        assert_eq!(arn.unwrap(), "arn:l2");
        let expected = [
            json!(["DescribeLoadBalancers", {"Names": ["web"]}]),
            json!(["DescribeListeners", {"LoadBalancerArn": "arn:b"}]),
        ];
        assert_eq!(asked, expected);
        let (arn, _) = scripted(vec![balancer, listeners()], |api| api.listener("web/TCP:53"));
        let expected = "load balancer web has no listener TCP:53; `nlb listener list web` shows those it has";
        assert_eq!(arn.unwrap_err().to_string(), expected);
        let (arn, asked) = scripted(vec![], |api| api.listener("arn:l3"));
        assert_eq!((arn.unwrap().as_str(), asked.len()), ("arn:l3", 0));
        assert!(scripted(vec![], |api| api.listener("web")).0.unwrap_err().to_string().contains("web/TCP:80"));
    }

    #[test]
    fn a_plain_name_is_whatever_has_it() {
        let balancer = || json!({"LoadBalancers": [{"LoadBalancerArn": "arn:b"}]});
        let group = || json!({"TargetGroups": [{"TargetGroupArn": "arn:g"}]});
        let none = |code: &str| json!({"fault": code});
        let resource = |answers| scripted(answers, |api| api.resource("web")).0;
        assert_eq!(resource(vec![balancer(), none("TargetGroupNotFound")]).unwrap(), "arn:b");
        assert_eq!(resource(vec![none("LoadBalancerNotFound"), group()]).unwrap(), "arn:g");
        let both = resource(vec![balancer(), group()]).unwrap_err().to_string();
        assert!(both.contains("say load-balancer/web or target-group/web"), "{both}");
        let neither = resource(vec![none("LoadBalancerNotFound"), none("TargetGroupNotFound")]).unwrap_err();
        assert!(neither.to_string().contains("neither"), "{neither}");
        assert_eq!(resource(vec![none("InternalFailure")]).unwrap_err().to_string(), "no such thing (InternalFailure)");
        assert_eq!(scripted(vec![group()], |api| api.resource("target-group/web")).0.unwrap(), "arn:g");
    }

    #[test]
    fn pages_are_one_list() {
        let pages = vec![json!({"Limits": [1, 2], "NextMarker": "m"}), json!({"Limits": [3]})];
        let (all, asked) = scripted(pages, |api| api.all("DescribeAccountLimits", Input::new(), "Limits"));
        assert_eq!(all.unwrap(), json!({"Limits": [1, 2, 3]}));
        assert_eq!(asked[1], json!(["DescribeAccountLimits", {"Marker": "m"}]));
    }

    #[test]
    fn pairs_and_endpoints() {
        let pair: Pair = "url=http://a?b=c".parse().unwrap();
        assert_eq!(Value::from(pair), json!({"Key": "url", "Value": "http://a?b=c"}));
        assert_eq!(Value::from("empty=".parse::<Pair>().unwrap()), json!({"Key": "empty", "Value": ""}));
        assert!("novalue".parse::<Pair>().is_err() && "=x".parse::<Pair>().is_err());
        assert_eq!("tcp_udp:53".parse(), Ok(Endpoint { protocol: "TCP_UDP".into(), port: 53 }));
        assert!(["80", "TCP:", ":80", "TCP:65536"].iter().all(|text| text.parse::<Endpoint>().is_err()));
    }

    #[test]
    fn people_call_things_by_their_names() {
        let prefix = "arn:aws:elasticloadbalancing:us-east-1:123456789012";
        assert_eq!(short(&format!("{prefix}:loadbalancer/net/web/50dc6c495c0c9188")), "web");
        assert_eq!(short(&format!("{prefix}:listener/net/web/50dc6c495c0c9188/0467ef3c8400ae65")), "web");
        assert_eq!(short(&format!("{prefix}:targetgroup/web-servers/73e2d6bc24d8a067")), "web-servers");
        assert_eq!(
            short("arn:aws:acm:us-east-1:123456789012:certificate/1"),
            "arn:aws:acm:us-east-1:123456789012:certificate/1"
        );
    }

    #[test]
    fn details_are_aligned() {
        let text = fields([("name", "web".into()), ("reason", String::new()), ("scheme", "internal".into())]);
        assert_eq!(text, "name    web\nscheme  internal\n");
        assert_eq!(section("attributes", "a = 1\nb =\n"), "\nattributes\n  a = 1\n  b =\n");
        assert_eq!(section("tags", ""), "");
        assert_eq!(pairs([json!({"Key": "a", "Value": ""})].iter()), "a =\n");
    }
}
