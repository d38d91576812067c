//! The server, over real sockets: what is answered, what is refused, and how long anything may take.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::pem::PemObject as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

use super::{
    fake::{Memory, Reply, Scripted, Wire, account, exchange, keys, read_reply, send, short, start},
    tls::tests::{CERTIFICATE, KEY},
    *,
};
use crate::{
    audit::{self, Audit, Filter},
    model::{Code, Fault},
};

const CALL: &str = "Version=2015-12-01&Action=DescribeTags&ResourceArns.member.1=a";

async fn echo() -> Server {
    start(Scripted::echo(), Limits::default(), None).await
}

#[tokio::test]
async fn a_signed_call_is_answered() {
    let server = echo().await;
    for wire in [Wire::post(CALL), Wire::get(CALL), Wire { target: format!("//?{CALL}"), ..Wire::get("") }] {
        let reply = send(server.addresses()[0], &wire.signed()).await;
        let xml = reply.xml();
        assert_eq!((reply.status, xml.name.as_str()), (200, "DescribeTagsResponse"), "{reply:?}");
        assert_eq!(xml.at(&["DescribeTagsResult", "Operation"]), Some("DescribeTags"));
        assert_eq!(xml.at(&["DescribeTagsResult", "Input", "ResourceArns", "member"]), Some("a"));
        assert_eq!(xml.at(&["ResponseMetadata", "RequestId"]), reply.header("x-amzn-requestid"));
        assert_eq!(reply.header("content-type"), Some("text/xml"));
    }
}

#[tokio::test]
async fn refusals_have_the_reference_s_codes_and_statuses() {
    let server = echo().await;
    let signed = |form: &str| Wire::post(form).signed();
    let forged = {
        let mut wire = signed(CALL);
        wire.body = CALL.replace('a', "b").into();
        wire
    };
    let stranger = {
        let mut wire = signed(CALL);
        wire.headers.last_mut().unwrap().1 = wire.headers.last().unwrap().1.replace("AKIA", "AKIB");
        wire
    };
    for (wire, status, code) in [
        (Wire::post(CALL).header("host", "x"), 403, "MissingAuthenticationToken"),
        (Wire::get("").header("host", "x"), 403, "MissingAuthenticationToken"),
        (forged, 403, "SignatureDoesNotMatch"),
        (stranger, 403, "InvalidClientTokenId"),
        (Wire::post(CALL).header("host", "x").header("authorization", "Basic YTpi"), 400, "IncompleteSignature"),
        (signed(""), 400, "MissingAction"),
        (signed("Action=DescribeTags&Version=1"), 400, "InvalidAction"),
        (signed(&format!("Action={}", "x".repeat(65))), 400, "InvalidAction"),
        (signed("Action=DescribeTags&A=%ff"), 404, "MalformedQueryString"),
        (signed("Action=DescribeTags&A=1&A=2"), 400, "ValidationError"),
        (Wire { body: "A=1".into(), ..Wire::get(CALL) }.signed(), 400, "ValidationError"),
        (Wire { target: "/?Action=X".into(), ..Wire::post(CALL) }.signed(), 400, "ValidationError"),
        (Wire { method: "PUT", ..Wire::post(CALL) }.signed(), 405, "InvalidAction"),
        (Wire { method: "OPTIONS", target: "*".into(), ..Wire::get("") }.header("host", "x"), 404, "InvalidAction"),
        (Wire { target: "/v2/".into(), ..Wire::post(CALL) }.signed(), 404, "InvalidAction"),
        (
            Wire { headers: Vec::new(), ..Wire::post("{}") }.header("content-type", "application/json").signed(),
            415,
            "MalformedQueryString",
        ),
        (
            Wire { headers: Vec::new(), ..Wire::post(CALL) }
                .header("content-type", "application/x-www-form-urlencoded; charset=latin1")
                .signed(),
            415,
            "MalformedQueryString",
        ),
        (Wire::post(CALL).header("content-encoding", "gzip").signed(), 415, "MalformedQueryString"),
    ] {
        let reply = send(server.addresses()[0], &wire).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{reply:?}");
        assert_eq!(reply.xml().at(&["Error", "Type"]), Some("Sender"));
    }
    let put = send(server.addresses()[0], &Wire { method: "PUT", ..Wire::post("") }.signed()).await;
    assert_eq!(put.header("allow"), Some("GET, POST"));
}

#[tokio::test]
async fn a_fault_and_warnings_reach_the_client() {
    let backend = Scripted::new(|operation, _| {
        Box::pin(async move {
            match operation.as_str() {
                "Refuse" => Err(Fault::new(Code::ResourceInUse, "in <use>")),
                _ => Ok(Answer { output: json!({}), warnings: vec!["hardly\r\nmeant é".into(), "at all".into()] }),
            }
        })
    });
    let server = start(backend, Limits::default(), None).await;
    let reply = send(server.addresses()[0], &Wire::post("Action=Refuse").signed()).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "ResourceInUse"));
    assert_eq!(reply.xml().at(&["Error", "Message"]), Some("in <use>"));
    let reply = send(server.addresses()[0], &Wire::post("Action=Warn").signed()).await;
    assert_eq!(reply.header("x-nlb-warning"), Some("hardly??meant ?"));
    assert_eq!(reply.headers.matches("x-nlb-warning").count(), 2);
}

#[tokio::test]
async fn bodies_up_to_one_mebibyte_are_read() {
    let server = echo().await;
    let address = server.addresses()[0];
    let form = |size: usize| {
        let mut form = "Action=X".to_owned();
        for at in 0.. {
            let room = size - form.len();
            let name = format!("&P{at}=");
            if room <= name.len() {
                form.push_str(&"&".repeat(room));
                return form;
            }
            form += &name;
            form += &"x".repeat((room - name.len()).min(60_000));
        }
        form
    };
    let fits = send(address, &Wire::post(&form(1 << 20)).signed()).await;
    assert_eq!((fits.status, fits.xml().name.as_str()), (200, "XResponse"));
    for size in [(1 << 20) + 1, 4 << 20] {
        let reply = send(address, &Wire::post(&form(size)).signed()).await;
        assert_eq!((reply.status, reply.code().as_str()), (413, "RequestEntityTooLarge"));
        assert_eq!(reply.header("connection"), Some("close"));
    }
    // As much as it takes: refused when the length is announced, or when too much of it has come.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let huge = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000000\r\n\r\n";
    assert_eq!(exchange(&mut stream, huge).await.unwrap().status, 413);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    let chunk = [b"10000\r\n".to_vec(), vec![b'x'; 0x10000], b"\r\n".to_vec()].concat();
    let (mut reader, mut writer) = stream.split();
    let writing = async {
        while writer.write_all(&chunk).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        reply = read_reply(&mut reader) => assert_eq!(reply.unwrap().status, 413),
        () = writing => {}
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_or_not() {
    let server = echo().await;
    let wire = Wire::post(CALL).header("expect", "100-continue").signed();
    let mut stream = TcpStream::connect(server.addresses()[0]).await.unwrap();
    assert_eq!(exchange(&mut stream, &wire.head()).await.unwrap().status, 100);
    assert_eq!(exchange(&mut stream, &wire.body).await.unwrap().status, 200);
    let wire = Wire { body: vec![b'x'; (1 << 20) + 1], ..wire };
    assert_eq!(exchange(&mut stream, &wire.head()).await.unwrap().status, 413);
}

/// Reads until the server ends the connection; how long that took.
async fn until_closed(stream: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("the server ends it");
    start.elapsed()
}

#[tokio::test]
async fn slow_clients_time_out() {
    let server = start(Scripted::echo(), short(), None).await;
    let address = server.addresses()[0];
    let head = Wire::post(CALL).signed().head();

    let silent = async { until_closed(&mut TcpStream::connect(address).await.unwrap()).await };
    let drips_headers = async {
        let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
        let start = Instant::now();
        let dripping = async {
            for byte in head.chunks(1) {
                let _ = writer.write_all(byte).await;
                sleep(Duration::from_millis(20)).await;
            }
        };
        let mut rest = Vec::new();
        tokio::select! {
            _ = reader.read_to_end(&mut rest) => {}
            () = dripping => panic!("all headers were read"),
        }
        start.elapsed()
    };
    let drips_body = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let start = Instant::now();
        stream.write_all(&head).await.unwrap();
        stream.write_all(b"Vers").await.unwrap();
        let reply = read_reply(&mut stream).await.unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (408, "RequestTimeout"));
        until_closed(&mut stream).await;
        start.elapsed()
    };
    let idle = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let wire = Wire::post(CALL).signed();
        assert_eq!(exchange(&mut stream, &wire.bytes()).await.unwrap().status, 200);
        sleep(Duration::from_millis(100)).await;
        assert_eq!(exchange(&mut stream, &wire.bytes()).await.unwrap().status, 200);
        until_closed(&mut stream).await
    };
    let (silent, drips_headers, drips_body, idle) = tokio::join!(silent, drips_headers, drips_body, idle);
    for took in [silent, drips_headers, drips_body, idle] {
        assert!((Duration::from_millis(900)..Duration::from_secs(15)).contains(&took), "{took:?}");
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_its_connection() {
    let backend = Scripted::new(|_, _| {
        let output = json!({"Text": "x".repeat(16 << 20)});
        Box::pin(async { Ok(Answer { output, warnings: Vec::new() }) })
    });
    let server = start(backend, Limits { connections: 1, ..short() }, None).await;
    let mut stream = TcpStream::connect(server.addresses()[0]).await.unwrap();
    stream.write_all(&Wire::post("Action=X").signed().bytes()).await.unwrap();
    // There is one connection only: the next one is served when that one has ended.
    let reply = timeout(Duration::from_secs(20), send(server.addresses()[0], &Wire::post("Action=X").signed())).await;
    assert_eq!(reply.unwrap().status, 200);
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = echo().await;
    for bytes in [
        format!("GET / HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(70_000)),
        format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(200)),
    ] {
        let mut stream = TcpStream::connect(server.addresses()[0]).await.unwrap();
        assert_eq!(exchange(&mut stream, bytes.as_bytes()).await.unwrap().status, 431);
    }
    let mut stream = TcpStream::connect(server.addresses()[0]).await.unwrap();
    let target = format!("GET /?{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(70_000));
    let status = exchange(&mut stream, target.as_bytes()).await.unwrap().status;
    assert!([414, 431].contains(&status), "{status}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let server = start(Scripted::echo(), Limits { connections: 2, ..Limits::default() }, None).await;
    let address = server.addresses()[0];
    let wire = Wire::post(CALL).signed();
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        exchange(&mut stream, &wire.bytes()).await.unwrap();
        open.push(stream);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_all(&wire.bytes()).await.unwrap();
    let waiting = timeout(Duration::from_millis(200), read_reply(&mut third)).await;
    assert!(waiting.is_err(), "{waiting:?}");
    open.pop();
    let reply = timeout(Duration::from_secs(20), read_reply(&mut third)).await.unwrap();
    assert_eq!(reply.unwrap().status, 200);
}

#[tokio::test]
async fn a_panic_ends_a_request_and_nothing_else() {
    let backend = Scripted::new(|operation, _| {
        assert_ne!(operation, "Panic", "as the test wants it");
        Box::pin(async { panic!("as the test wants it") })
    });
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(audit::Settings::new(dir.path().join("audit.log")), account()).unwrap();
    let server = start(backend, Limits::default(), Some(audit.clone())).await;
    let mut stream = TcpStream::connect(server.addresses()[0]).await.unwrap();
    for action in ["Panic", "PanicLater", "Panic"] {
        let wire = Wire::post(&format!("Action={action}")).signed();
        let reply = exchange(&mut stream, &wire.bytes()).await.unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (500, "InternalFailure"));
        assert_eq!(reply.xml().at(&["Error", "Type"]), Some("Receiver"));
    }
    let codes: Vec<_> = records(&audit, &dir).iter().map(|record| record["errorCode"].clone()).collect();
    assert_eq!(codes, ["InternalFailure"; 3]);
}

#[tokio::test]
async fn a_backend_that_does_not_answer_is_not_waited_for() {
    let backend = Scripted::new(|_, _| Box::pin(std::future::pending()));
    let server = start(backend, short(), None).await;
    let reply = send(server.addresses()[0], &Wire::post(CALL).signed()).await;
    assert_eq!((reply.status, reply.code().as_str()), (503, "ServiceUnavailable"));
}

/// What a test knows of calls that wait.
#[derive(Default)]
struct Gate {
    /// Told when a call has begun.
    begun: Notify,
    /// Lets a call go on.
    open: Notify,
    /// Calls that went on.
    done: AtomicUsize,
}

/// A backend whose calls wait until they may go on.
fn gated() -> (Scripted, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let backend = Scripted::new({
        let gate = Arc::clone(&gate);
        move |_, _| {
            let gate = Arc::clone(&gate);
            Box::pin(async move {
                gate.begun.notify_one();
                gate.open.notified().await;
                gate.done.fetch_add(1, SeqCst);
                Ok(Answer::default())
            })
        }
    });
    (backend, gate)
}

#[tokio::test]
async fn a_call_is_carried_out_and_recorded_though_the_client_goes_away() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(audit::Settings::new(dir.path().join("audit.log")), account()).unwrap();
    let (backend, gate) = gated();
    let server = start(backend, Limits::default(), Some(audit.clone())).await;
    let mut stream = TcpStream::connect(server.addresses()[0]).await.unwrap();
    stream.write_all(&Wire::post(CALL).signed().bytes()).await.unwrap();
    gate.begun.notified().await;
    drop(stream);
    sleep(Duration::from_millis(100)).await;
    gate.open.notify_one();
    server.stop().await;
    assert_eq!(gate.done.load(SeqCst), 1);
    assert_eq!(records(&audit, &dir).len(), 1);
}

#[tokio::test]
async fn a_server_that_stops_answers_what_was_asked_and_takes_nothing_new() {
    let (backend, gate) = gated();
    let server = start(backend, Limits::default(), None).await;
    let address = server.addresses()[0];
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(&Wire::post(CALL).signed().bytes()).await.unwrap();
    gate.begun.notified().await;
    let stopped = Arc::new(AtomicBool::new(false));
    let stopping = tokio::spawn({
        let stopped = Arc::clone(&stopped);
        async move {
            server.stop().await;
            stopped.store(true, SeqCst);
        }
    });
    assert!(until_closed(&mut idle).await < Duration::from_secs(10));
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    assert!(!stopped.load(SeqCst));
    gate.open.notify_one();
    assert_eq!(read_reply(&mut busy).await.unwrap().status, 200);
    timeout(Duration::from_secs(20), stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_is_dropped_or_out_of_patience_ends_its_connections() {
    let (backend, gate) = gated();
    let server = start(backend.clone(), Limits::default(), None).await;
    let mut stream = TcpStream::connect(server.addresses()[0]).await.unwrap();
    stream.write_all(&Wire::post(CALL).signed().bytes()).await.unwrap();
    gate.begun.notified().await;
    drop(server);
    assert!(until_closed(&mut stream).await < Duration::from_secs(10));

    let server = start(backend, Limits { grace: Duration::from_millis(100), ..Limits::default() }, None).await;
    let mut stream = TcpStream::connect(server.addresses()[0]).await.unwrap();
    stream.write_all(&Wire::post(CALL).signed().bytes()).await.unwrap();
    gate.begun.notified().await;
    timeout(Duration::from_secs(9), server.stop()).await.unwrap();
    assert!(until_closed(&mut stream).await < Duration::from_secs(10));
}

#[tokio::test]
async fn keys_are_exchanged_while_it_is_served() {
    let keys = keys();
    let listen = Listen { addresses: vec!["127.0.0.1:0".parse().unwrap()], tls: None, allow_plain_http: false };
    let settings = Settings { listen, account: account(), limits: Limits::default() };
    let server = serve(settings, keys.clone(), Scripted::echo(), None).await.unwrap();
    let wire = Wire::post(CALL).signed();
    assert_eq!(send(server.addresses()[0], &wire).await.status, 200);
    keys.replace(std::collections::BTreeMap::new());
    assert_eq!(send(server.addresses()[0], &wire).await.code(), "InvalidClientTokenId");
}

async fn over_tls(address: SocketAddr, certificate: &str, wire: &Wire) -> Option<Reply> {
    let mut roots = RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.ok()?;
    exchange(&mut stream, &wire.bytes()).await
}

#[tokio::test]
async fn over_tls_and_with_another_certificate_from_the_next_connection_on() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("a.pem"), dir.path().join("a.key"));
    fs::write(&certificate, CERTIFICATE).unwrap();
    fs::write(&key, KEY).unwrap();
    let tls = Tls::load(&certificate, &key).unwrap();
    let listen =
        Listen { addresses: vec!["127.0.0.1:0".parse().unwrap()], tls: Some(tls.clone()), allow_plain_http: false };
    let settings = Settings { listen, account: account(), limits: short() };
    let server = serve(settings, keys(), Scripted::echo(), None).await.unwrap();
    let address = server.addresses()[0];
    let reply = over_tls(address, CERTIFICATE, &Wire::post(CALL).signed()).await.unwrap();
    assert_eq!(reply.status, 200);
    // The body need not be signed here.
    let wire = Wire::post(CALL).header("x-amz-content-sha256", "UNSIGNED-PAYLOAD").signed();
    assert_eq!(over_tls(address, CERTIFICATE, &wire).await.unwrap().status, 200);
    assert_eq!(send(echo().await.addresses()[0], &wire).await.code(), "SignatureDoesNotMatch");

    // What is no TLS gets no answer, and what does not speak is not waited for.
    let mut plain = TcpStream::connect(address).await.unwrap();
    let answer = exchange(&mut plain, &Wire::post(CALL).signed().bytes()).await;
    assert!(answer.is_none(), "{answer:?}");
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert!(until_closed(&mut silent).await < Duration::from_secs(15));

    fs::write(&certificate, include_str!("testdata/other.pem")).unwrap();
    fs::write(&key, include_str!("testdata/other.key")).unwrap();
    tls.reload().unwrap();
    assert!(over_tls(address, CERTIFICATE, &Wire::post(CALL).signed()).await.is_none());
    let other = include_str!("testdata/other.pem");
    assert_eq!(over_tls(address, other, &Wire::post(CALL).signed()).await.unwrap().status, 200);
}

fn records(audit: &Audit, dir: &tempfile::TempDir) -> Vec<Value> {
    audit.flush();
    audit::read(&dir.path().join("audit.log"), &Filter { limit: 1000, ..Filter::default() }).unwrap().records
}

#[tokio::test]
async fn every_call_is_recorded_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(audit::Settings::new(dir.path().join("audit.log")), account()).unwrap();
    let server = start(Memory::new(), Limits::default(), Some(audit.clone())).await;
    let address = server.addresses()[0];
    let wire = Wire::post("Action=NoSuchThing&Name=web").header("user-agent", "aws-cli/2").signed();
    let id = send(address, &wire).await.header("x-amzn-requestid").unwrap().to_owned();
    let mut forged = wire.clone();
    forged.body.push(b'&');
    send(address, &forged).await;
    send(address, &Wire::post("Action=DeleteListener").header("host", "x")).await;
    send(address, &Wire::post(&"x".repeat((1 << 20) + 1)).signed()).await;
    send(address, &Wire { target: "/favicon.ico".into(), ..Wire::get("") }.header("host", "x")).await;

    let records = records(&audit, &dir);
    let told: Vec<_> = records
        .iter()
        .map(|record| {
            let text = |path: &str| record.pointer(path).and_then(Value::as_str).unwrap_or("-");
            [text("/userIdentity/type"), text("/userIdentity/accessKeyId"), text("/eventName"), text("/errorCode")]
        })
        .collect();
    assert_eq!(
        told,
        [
            ["IAMUser", "AKIAIOSFODNN7EXAMPLE", "NoSuchThing", "InvalidAction"],
            ["Unknown", "AKIAIOSFODNN7EXAMPLE", "NoSuchThing", "SignatureDoesNotMatch"],
            ["Unknown", "-", "DeleteListener", "MissingAuthenticationToken"],
            ["Unknown", "-", "Unknown", "RequestEntityTooLarge"],
        ]
    );
    assert_eq!(records[0]["requestID"], *id);
    assert_eq!(records[0]["sourceIPAddress"], "127.0.0.1");
    assert_eq!(records[0]["userAgent"], "aws-cli/2");
    assert_eq!(records[0]["requestParameters"], json!({"name": "web"}));
    assert_eq!(records[1]["requestParameters"], Value::Null);
    let log = fs::read_to_string(dir.path().join("audit.log")).unwrap();
    let authorization = &wire.headers.last().unwrap().1;
    let signature = authorization.rsplit('=').next().unwrap();
    for secret in [signature, fake::KEY.1] {
        assert!(!log.contains(secret), "{log}");
    }
}
