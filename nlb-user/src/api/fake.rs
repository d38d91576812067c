//! For tests: backends in memory, and a client that speaks HTTP byte by byte.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::future::BoxFuture;
use hyper::{HeaderMap, Method, Uri, header::HeaderName};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    AccessKey, Answer, Backend, Limits, Listen, Secret, Server, Settings, SharedKeys, serve, sigv4,
    xml::tests::{Element, parse},
};
use crate::{
    audit::Audit,
    model::{Arn, Fault, Protocol, State},
    ops::testing::{self, World},
};

pub const KEY: (&str, &str) = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
pub const REGION: &str = "us-east-1";

pub use crate::ops::testing::account;

pub fn keys() -> SharedKeys {
    let key = AccessKey { secret: Secret::new(KEY.1), user: Some("Alice".into()) };
    SharedKeys::new(BTreeMap::from([(KEY.0.to_owned(), key)]))
}

/// The operations over the world of their own tests.
#[derive(Clone)]
pub struct Memory(Arc<Mutex<World>>);

impl Memory {
    /// With no resources.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(World::new())))
    }

    /// With a load balancer, two listeners, three target groups and two targets.
    pub fn populated() -> Self {
        let mut world = World::new();
        let input = json!({"Name": "web", "Subnets": ["subnet-a", "subnet-b"], "SecurityGroups": ["sg-1"]});
        let output = world.call("CreateLoadBalancer", input);
        let balancer = &output["LoadBalancers"][0]["LoadBalancerArn"];
        let group = |name| testing::target_group(&mut world.state, name, Protocol::Tcp);
        let [web, secure, _] = ["web", "secure", "spare"].map(group);
        let targets = json!([{"Id": "10.0.1.21"}, {"Id": "10.0.2.21", "Port": 8080}]);
        world.call("RegisterTargets", json!({"TargetGroupArn": web.as_str(), "Targets": targets}));
        let mut listener = |protocol, port, group: &Arn, certificates: Value| {
            let actions = json!([{"Type": "forward", "TargetGroupArn": group.as_str()}]);
            world.call(
                "CreateListener",
                json!({
                    "LoadBalancerArn": balancer, "Protocol": protocol, "Port": port, "DefaultActions": actions,
                    "Certificates": certificates,
                }),
            );
        };
        listener("TCP", 80, &web, Value::Null);
        listener("TLS", 443, &secure, json!([{"CertificateArn": testing::certificate(1)}]));
        Self(Arc::new(Mutex::new(world)))
    }

    /// The state as it is now.
    pub fn state(&self) -> State {
        self.0.lock().unwrap().state.clone()
    }

    /// Goes back to an earlier state.
    pub fn reset(&self, state: &State) {
        self.0.lock().unwrap().state = state.clone();
    }

    pub fn run(&self, operation: &str, input: &Value) -> Result<Answer, Fault> {
        let output = self.0.lock().unwrap().run(operation, input.clone())?;
        Ok(Answer { output, warnings: Vec::new() })
    }
}

impl Backend for Memory {
    async fn call(&self, operation: String, input: Value) -> Result<Answer, Fault> {
        self.run(&operation, &input)
    }
}

/// A backend that does as a test says.
#[derive(Clone)]
pub struct Scripted(Arc<Script>);

type Script = dyn Fn(String, Value) -> BoxFuture<'static, Result<Answer, Fault>> + Send + Sync;

impl Scripted {
    pub fn new(
        script: impl Fn(String, Value) -> BoxFuture<'static, Result<Answer, Fault>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(script))
    }

    /// Answers with what it was asked for.
    pub fn echo() -> Self {
        Self::new(|operation, input| {
            let output = json!({"Operation": operation, "Input": input});
            Box::pin(async { Ok(Answer { output, warnings: Vec::new() }) })
        })
    }
}

impl Backend for Scripted {
    async fn call(&self, operation: String, input: Value) -> Result<Answer, Fault> {
        (self.0)(operation, input).await
    }
}

/// Times short enough to be waited for, and long enough for a machine that has other things to do.
pub fn short() -> Limits {
    let time = Duration::from_secs(1);
    Limits { head_time: time, body_time: time, call: time, write_time: time, handshake: time, ..Limits::default() }
}

/// Serves a backend on a free port of the loopback address.
pub async fn start(backend: impl Backend, limits: Limits, audit: Option<Audit>) -> Server {
    let listen = Listen { addresses: vec!["127.0.0.1:0".parse().unwrap()], tls: None, allow_plain_http: false };
    serve(Settings { listen, account: account(), limits }, keys(), backend, audit).await.unwrap()
}

/// A request, to be signed and sent.
#[derive(Clone, Debug)]
pub struct Wire {
    pub method: &'static str,
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Wire {
    pub fn post(form: &str) -> Self {
        let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded; charset=utf-8".to_owned());
        Self { method: "POST", target: "/".into(), headers: vec![kind], body: form.into() }
    }

    pub fn get(query: &str) -> Self {
        Self { method: "GET", target: format!("/?{query}"), headers: Vec::new(), body: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Signs it, as made now.
    pub fn signed(mut self) -> Self {
        let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        self.headers.push(("host".into(), "localhost".into()));
        self.headers.push(("x-amz-date".into(), stamp.clone()));
        let headers: HeaderMap = self
            .headers
            .iter()
            .filter(|(name, _)| name != "content-length" && name != "expect" && name != "user-agent")
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let (method, uri): (Method, Uri) = (self.method.parse().unwrap(), self.target.parse().unwrap());
        let received = sigv4::Received { method: &method, uri: &uri, headers: &headers, body: &self.body, tls: false };
        let authorization = sigv4::sign::authorization(received, KEY, REGION, &stamp);
        self.headers.push(("authorization".into(), authorization));
        self
    }

    /// The line and the headers, with the length of the body.
    pub fn head(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("content-length: {}\r\n\r\n", self.body.len());
        text.into_bytes()
    }

    pub fn bytes(&self) -> Vec<u8> {
        [self.head(), self.body.clone()].concat()
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn xml(&self) -> Element {
        parse(&self.body)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.headers.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}: ")))?;
        Some(&line[name.len() + 2..])
    }

    /// The error code, which the document's root and the status agree on.
    pub fn code(&self) -> String {
        assert!(self.status >= 400, "{self:?}");
        let xml = self.xml();
        assert_eq!(xml.name, "ErrorResponse");
        assert_eq!(xml.at(&["RequestId"]), self.header("x-amzn-requestid"));
        xml.at(&["Error", "Code"]).unwrap().to_owned()
    }
}

/// Reads an answer. `None` if the connection ended instead.
pub async fn read_reply(stream: &mut (impl AsyncRead + Unpin)) -> Option<Reply> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let headers = String::from_utf8(head).unwrap();
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    let mut reply = Reply { status, headers, body: Vec::new() };
    if status == 100 {
        return Some(reply);
    }
    let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
    reply.body.resize(length, 0);
    stream.read_exact(&mut reply.body).await.ok()?;
    Some(reply)
}

/// Sends bytes on a connection and reads the answer.
pub async fn exchange(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) -> Option<Reply> {
    stream.write_all(bytes).await.ok()?;
    read_reply(stream).await
}

/// Sends a request on a connection of its own.
pub async fn send(address: SocketAddr, wire: &Wire) -> Reply {
    let mut stream = TcpStream::connect(address).await.unwrap();
    exchange(&mut stream, &wire.bytes()).await.expect("an answer")
}
