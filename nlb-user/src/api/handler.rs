//! One request: from what was received to what is answered.

use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header::{ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderValue, USER_AGENT},
    http::request::Parts,
};
use jiff::Timestamp;
use serde_json::Value;
use tokio::{sync::mpsc, time::timeout};
use tracing::error;

use super::{Answer, Backend, Limits, SharedKeys, cut, query, sigv4, xml};
use crate::{
    audit::{self, Audit, Identity},
    model::{Account, Code, Fault},
};

/// The only type of bodies.
const FORM: &str = "application/x-www-form-urlencoded";
/// How much of a body that is too large is read and thrown away: a client that is still sending may not look for an
/// answer before it is done.
const DISCARDED: u64 = 16 << 20;
/// How long a client may pause in such a body.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes of an error's sentence.
const MESSAGE: usize = 4096;
/// Warnings of an answer.
const WARNINGS: usize = 10;

/// What answers requests of one kind of connection.
pub struct Handler<B> {
    /// Who runs calls.
    pub backend: B,
    /// Whose requests are believed.
    pub keys: SharedKeys,
    /// Whose resources these are.
    pub account: Account,
    /// Where calls are recorded.
    pub audit: Option<Audit>,
    /// Sizes and times.
    pub limits: Limits,
    /// Whether requests come over TLS.
    pub tls: bool,
}

/// Why a request is refused, on its way or by its operation.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self { status, code: code.as_str(), message: message.into() }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let status = StatusCode::from_u16(fault.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, fault.code, fault.message)
    }
}

/// What has become known of a request, for its record.
struct Known {
    identity: Identity,
    action: Option<String>,
    input: Option<Value>,
}

impl<B: Backend> Handler<B> {
    /// Answers a request. What was begun is brought to its end even if the client goes away; `alive` is held until then.
    pub async fn respond(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        alive: mpsc::Sender<()>,
    ) -> Response<Full<Bytes>> {
        let time = Timestamp::now();
        let id = uuid::Uuid::new_v4().to_string();
        let (head, body) = request.into_parts();
        let body = receive(&head, body, &self.limits).await;
        let task = tokio::spawn({
            let id = id.clone();
            async move {
                let response = self.answer(&head, body, peer, time, &id).await;
                drop(alive);
                response
            }
        });
        task.await.unwrap_or_else(|_| refused(&internal(), &id))
    }

    async fn answer(
        &self,
        head: &Parts,
        body: Result<Bytes, Refusal>,
        peer: SocketAddr,
        time: Timestamp,
        id: &str,
    ) -> Response<Full<Bytes>> {
        if let Err(refusal) = check(head) {
            return refused(&refusal, id);
        }
        let mut known = Known { identity: Identity::Unknown { claimed: None }, action: None, input: None };
        let outcome = match body {
            Ok(body) => {
                let run = AssertUnwindSafe(self.run(head, &body, time, &mut known)).catch_unwind();
                run.await.unwrap_or_else(|_| {
                    error!("request {id} ended in a panic; please report it with the lines before this one");
                    Err(internal())
                })
            }
            Err(refusal) => Err(refusal),
        };
        if let Some(audit) = &self.audit {
            let agent = head.headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
            audit.record(&audit::Call {
                time,
                identity: known.identity,
                source: &peer.ip().to_canonical().to_string(),
                user_agent: agent.as_deref(),
                operation: known.action.as_deref(),
                input: known.input.as_ref(),
                outcome: match &outcome {
                    Ok(answer) => Ok(&answer.output),
                    Err(refusal) => Err(audit::Refusal { code: refusal.code, message: &refusal.message }),
                },
                request_id: id,
            });
        }
        match outcome {
            Ok(answer) => succeeded(known.action.as_deref().unwrap_or_default(), &answer, id),
            Err(refusal) => refused(&refusal, id),
        }
    }

    async fn run(&self, head: &Parts, body: &[u8], now: Timestamp, known: &mut Known) -> Result<Answer, Refusal> {
        let (method, uri, headers) = (&head.method, &head.uri, &head.headers);
        let request = sigv4::Received { method, uri, headers, body, tls: self.tls };
        match sigv4::verify(request, &self.account.region, &self.keys, now) {
            Ok(signer) => known.identity = Identity::Key { id: signer.key_id, user: signer.user },
            Err(denied) => {
                known.identity = Identity::Unknown { claimed: denied.key_id };
                // Not believed, but worth recording.
                let pairs = parameters(head, body).unwrap_or_default();
                known.action = query::action(&pairs).map(str::to_owned);
                return Err(denied.fault.into());
            }
        }
        let pairs = parameters(head, body)?;
        known.action = query::action(&pairs).map(str::to_owned);
        let query::Call { action, input } = query::call(pairs)?;
        known.input = Some(input.clone());
        if known.action.as_ref() != Some(&action) {
            return Err(query::unknown(&action, query::VERSION).into());
        }
        match timeout(self.limits.call, self.backend.call(action, input)).await {
            Ok(result) => Ok(result?),
            Err(_) => {
                let seconds = self.limits.call.as_secs();
                let why = format!(
                    "the controller has not answered for {seconds} s; the call may have been carried out: look before trying \
                     it again"
                );
                Err(Fault::new(Code::ServiceUnavailable, why).into())
            }
        }
    }
}

/// The parameters of a call: those of the URL, and those of the form.
fn parameters(head: &Parts, body: &[u8]) -> Result<Vec<query::Pair>, Fault> {
    if head.method == Method::GET && !body.is_empty() {
        return Err(Fault::validation(
            "the request is a GET with a body: send the parameters as a POST, or in the URL",
        ));
    }
    let mut pairs = sigv4::parameters(head.uri.query().unwrap_or_default())?;
    pairs.extend(query::pairs(body)?);
    Ok(pairs)
}

/// Whether a request is one for the API at all.
fn check(head: &Parts) -> Result<(), Refusal> {
    if sigv4::path(head.uri.path()) != "/" {
        let why = format!("there is nothing at {}: the API is at /", cut(head.uri.path(), 128));
        return Err(Refusal::new(StatusCode::NOT_FOUND, Code::InvalidAction, why));
    }
    if head.method != Method::POST && head.method != Method::GET {
        let why = format!("the method is {}: the API takes POST and GET", cut(head.method.as_str(), 32));
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Code::InvalidAction, why));
    }
    let header = |name| head.headers.get(name).map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()));
    let unsupported = |why| Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::MalformedQueryString, why));
    if let Some(found) = header(CONTENT_TYPE) {
        let mut parts = found.split(';').map(str::trim);
        let form = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case(FORM));
        let utf8 = parts.all(|part| match part.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
                value.trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        });
        if head.method == Method::POST && !(form && utf8) {
            let found = cut(&found, 128);
            return unsupported(format!("the Content-Type is {found}: send the parameters as {FORM}, in UTF-8"));
        }
    }
    match header(CONTENT_ENCODING) {
        Some(found) if !found.eq_ignore_ascii_case("identity") => {
            unsupported(format!("the Content-Encoding is {}: send the form as it is", cut(&found, 128)))
        }
        _ => Ok(()),
    }
}

/// Receives a body, all of it, in time.
async fn receive(head: &Parts, mut body: Incoming, limits: &Limits) -> Result<Bytes, Refusal> {
    let most = limits.body;
    let too_large = || {
        let why = format!("the request has more than {most} bytes; make several calls of it");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, Code::RequestEntityTooLarge, why)
    };
    let announced = body.size_hint().lower();
    if announced > DISCARDED || (announced > most && head.headers.contains_key(EXPECT)) {
        return Err(too_large());
    }
    let collected = timeout(limits.body_time, async {
        let mut bytes = BytesMut::new();
        let mut received = 0;
        loop {
            // Once it is known to be too large, nobody waits for a client that does not go on sending.
            let next = match received > most {
                true => timeout(PAUSE, body.frame()).await.unwrap_or(None),
                false => body.frame().await,
            };
            let Some(frame) = next else { break };
            let Ok(data) = frame?.into_data() else { continue };
            received += data.len() as u64;
            if received <= most {
                bytes.extend_from_slice(&data);
            } else if received > DISCARDED {
                break;
            }
        }
        Ok::<_, hyper::Error>((received <= most).then(|| bytes.freeze()))
    });
    match collected.await {
        Ok(Ok(Some(bytes))) => Ok(bytes),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(error)) => {
            let why = format!("the body cannot be read: {error}");
            Err(Refusal::new(StatusCode::BAD_REQUEST, Code::MalformedQueryString, why))
        }
        Err(_) => {
            let message = format!("the body has not arrived within {} s", limits.body_time.as_secs());
            Err(Refusal { status: StatusCode::REQUEST_TIMEOUT, code: "RequestTimeout", message })
        }
    }
}

fn internal() -> Refusal {
    let why = "something went wrong on this side; the controller's log has more of it";
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, Code::InternalFailure, why)
}

fn succeeded(action: &str, answer: &Answer, id: &str) -> Response<Full<Bytes>> {
    let mut response = respond_with(StatusCode::OK, xml::answer(action, &answer.output, id), id);
    for warning in answer.warnings.iter().take(WARNINGS) {
        response.headers_mut().append("x-nlb-warning", printable(&cut(warning, 1024)));
    }
    response
}

fn refused(refusal: &Refusal, id: &str) -> Response<Full<Bytes>> {
    let message = cut(&refusal.message, MESSAGE);
    let xml = xml::error(refusal.status.as_u16(), refusal.code, &message, id);
    let mut response = respond_with(refusal.status, xml, id);
    let headers = response.headers_mut();
    match refusal.status {
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
        }
        StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}

fn respond_with(status: StatusCode, xml: Vec<u8>, id: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(xml)));
    *response.status_mut() = status;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    headers.insert("x-amzn-requestid", printable(id));
    response
}

/// Text as a header can carry it.
fn printable(text: &str) -> HeaderValue {
    let text: String = text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
