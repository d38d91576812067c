//! The controller's side of the socket: turns lines into requests and carries the answers back.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixStream},
    sync::{mpsc, oneshot},
};
use tracing::{debug, warn};

use super::{Answer, Request};
use crate::{
    audit::{self, Audit, Identity, Refusal},
    model::Code,
};

/// The longest request. A file with all the targets that fit in the maps has about 3 MB.
const MAX_REQUEST: u64 = 64 << 20;
/// Requests that wait for the controller's loop.
pub const QUEUE: usize = 64;

/// A request and where its answer goes. An answer to a command that has gone away is dropped.
pub struct Call {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
    /// Whether the answer may wait for addresses and next hops.
    pub patient: bool,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the control socket {}: {source}; set `socket` in node.toml to a path that can be created", path.display())]
pub struct ServerError {
    path: PathBuf,
    source: io::Error,
}

/// An open control socket; dropped, it is closed and removed.
pub struct Server {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    /// Opens the socket at `path` for its owner alone, in place of one that a dead controller left there. What is asked
    /// goes to `calls`; operations of the API are recorded in `audit`.
    ///
    /// # Errors
    /// If another node's controller listens there, or the directory or the socket cannot be created.
    pub fn open(path: &Path, calls: mpsc::Sender<Call>, audit: Option<Audit>) -> Result<Self, ServerError> {
        let listener = bind(path).map_err(|source| ServerError { path: path.to_owned(), source })?;
        let task = tokio::spawn(accept(listener, calls, audit));
        Ok(Self { path: path.to_owned(), task })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        if let Err(error) = fs::remove_file(&self.path) {
            warn!("the socket {} stays: {error}", self.path.display());
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another node's controller listens there"));
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, calls: mpsc::Sender<Call>, audit: Option<Audit>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (calls, audit) = (calls.clone(), audit.clone());
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, calls, audit).await {
                        debug!("a command hung up: {error}");
                    }
                });
            }
            Err(error) => {
                warn!("control socket: {error}");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: UnixStream, calls: mpsc::Sender<Call>, audit: Option<Audit>) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    loop {
        line.clear();
        if (&mut reader).take(MAX_REQUEST).read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer = match serde_json::from_str(&line) {
            Ok(request) => {
                let (time, asked) = (Timestamp::now(), operation(&request));
                let answer = call(request, &calls).await;
                if let (Some(audit), Some((operation, input))) = (&audit, asked) {
                    record(audit, time, uid, &operation, &input, &answer);
                }
                answer
            }
            Err(error) => Answer::Refused(vec![format!("not a request: {error}")]),
        };
        let mut text = serde_json::to_string(&answer)?;
        text.push('\n');
        writer.write_all(text.as_bytes()).await?;
    }
}

/// The operation that a request runs, and its input, if it is one to be recorded.
fn operation(request: &Request) -> Option<(String, Value)> {
    match request {
        Request::Call { operation, input } => Some((operation.clone(), input.clone())),
        Request::SetState { group, target, state } => {
            Some(("SetTargetState".to_owned(), json!({"TargetGroup": group, "Target": target, "State": state})))
        }
        Request::Apply { file, dry_run: false, .. } => Some(("ApplyManifest".to_owned(), json!({"File": file}))),
        _ => None,
    }
}

fn record(audit: &Audit, time: Timestamp, uid: u32, operation: &str, input: &Value, answer: &Answer) {
    let refused = |code, message| Err(Refusal { code, message });
    let (none, lines);
    let outcome = match answer {
        Answer::Done { output, .. } => Ok(output),
        Answer::Fault { code, message } => refused(code.as_str(), message.as_str()),
        Answer::Refused(reasons) => {
            lines = reasons.join("\n");
            refused(Code::ValidationError.as_str(), lines.as_str())
        }
        _ => {
            none = Value::Null;
            Ok(&none)
        }
    };
    audit.record(&audit::Call {
        time,
        identity: Identity::local(uid),
        source: "unix",
        user_agent: Some(concat!("nlb/", env!("CARGO_PKG_VERSION"))),
        operation: Some(operation),
        input: Some(input),
        outcome,
        request_id: &uuid::Uuid::new_v4().to_string(),
    });
}

async fn call(request: Request, calls: &mpsc::Sender<Call>) -> Answer {
    let (sender, receiver) = oneshot::channel();
    let stopping = || Answer::Refused(vec!["the controller is stopping; try again when it is back".to_owned()]);
    match calls.send(Call { request, answer: sender, patient: true }).await {
        Ok(()) => receiver.await.unwrap_or_else(|_| stopping()),
        Err(_) => stopping(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Applied, client};

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_reaches_the_loop_and_its_answer_the_command() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/nlb.sock");
        let (sender, mut calls) = mpsc::channel(QUEUE);
        let server = Server::open(&path, sender, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let asked = tokio::task::spawn_blocking({
            let path = path.clone();
            move || client::ask(&path, &Request::Reload)
        });
        let call = calls.recv().await.unwrap();
        assert_eq!(call.request, Request::Reload);
        let answer = Answer::Applied(Applied { revision: 7, ..Applied::default() });
        call.answer.send(answer.clone()).unwrap();
        assert_eq!(asked.await.unwrap().unwrap(), answer);
        let error = Server::open(&path, mpsc::channel(1).0, None).err().unwrap().to_string();
        assert!(error.contains("another node's controller listens there"), "{error}");
        drop(server);
        assert!(!path.exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_request_is_refused_and_the_next_one_heard() {
        use std::io::{BufRead as _, Write as _};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nlb.sock");
        let (sender, mut calls) = mpsc::channel(QUEUE);
        let _server = Server::open(&path, sender, None).unwrap();
        let talk = tokio::task::spawn_blocking(move || {
            let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
            stream.write_all(b"nonsense\n{\"do\":\"reload\"}\n").unwrap();
            std::io::BufReader::new(stream).lines().take(2).map(Result::unwrap).collect::<Vec<_>>()
        });
        let call = calls.recv().await.unwrap();
        call.answer.send(Answer::Refused(vec!["no file".into()])).unwrap();
        let lines = talk.await.unwrap();
        assert!(lines[0].contains("not a request"), "{lines:?}");
        assert_eq!(lines[1], r#"{"refused":["no file"]}"#);
    }
}
