//! The commands' side of the socket.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Answer, Request};

/// How long an answer may take: a change waits for address probes (RFC 5227) and neighbour resolution.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens on the socket.
    #[error("the controller is not running (nobody listens on {}); start it with `nlb run --iface IF`", .0.display())]
    NotRunning(PathBuf),
    /// The socket may not be opened.
    #[error("not allowed to open {}: run this as root", .0.display())]
    NotAllowed(PathBuf),
    /// The conversation broke off.
    #[error("the controller at {} did not answer: {source}; its log says why", path.display())]
    NoAnswer {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The answer is not one we know.
    #[error("the controller at {} answered what this version of nlb does not understand ({source}); use the nlb it was started from", path.display())]
    Unintelligible {
        /// The socket.
        path: PathBuf,
        /// What was wrong with it.
        source: serde_json::Error,
    },
}

/// Asks the controller behind the socket at `path`.
///
/// # Errors
/// [`ClientError`] if there is no controller, or no answer of it. A refusal is an answer.
pub fn ask(path: &Path, request: &Request) -> Result<Answer, ClientError> {
    let stream = UnixStream::connect(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning(path.to_owned()),
        io::ErrorKind::PermissionDenied => ClientError::NotAllowed(path.to_owned()),
        _ => ClientError::NoAnswer { path: path.to_owned(), source },
    })?;
    let line = converse(stream, request).map_err(|source| ClientError::NoAnswer { path: path.to_owned(), source })?;
    serde_json::from_str(&line).map_err(|source| ClientError::Unintelligible { path: path.to_owned(), source })
}

fn converse(mut stream: UnixStream, request: &Request) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    if BufReader::new(stream).read_line(&mut answer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_controller_is_said_to_be_dead_and_how_to_start_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nlb.sock");
        let missing = ask(&path, &Request::Status).unwrap_err();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let left_over = ask(&path, &Request::Status).unwrap_err();
        for error in [missing, left_over] {
            let expected = format!(
                "the controller is not running (nobody listens on {}); start it with `nlb run --iface IF`",
                path.display()
            );
            assert_eq!(error.to_string(), expected);
        }
    }
}
