//! The Elastic Load Balancing v2 API over HTTP: the Query protocol, version 2015-12-01.
//!
//! What a client of the reference sends is understood as it is: a form is read (`query`), its signature verified
//! (`sigv4`, with `keys`), the operation run by a [`Backend`], and the answer written as XML (`xml`). `handler` is the
//! way of one request through these; `server` has the connections, with `listen`, `tls` and `stall`.
//!
//! Nothing here knows an operation: what they take and give is [`crate::ops`]' concern, and decoding is generic.

mod handler;
mod keys;
mod listen;
mod query;
mod server;
mod sigv4;
mod stall;
mod tls;
mod xml;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod server_tests;

use std::{borrow::Cow, future::Future, io, net::SocketAddr, path::PathBuf};

use serde_json::Value;

use crate::model::Fault;

pub use keys::{AccessKey, Keys, Secret, SharedKeys};
pub use listen::Listen;
pub use query::VERSION;
pub use server::{Limits, Server, Settings, serve};
pub use tls::Tls;

/// Who runs calls.
pub trait Backend: Clone + Send + Sync + 'static {
    /// Runs an operation. A call that was begun may be carried out even if nobody waits for its answer any more.
    fn call(&self, operation: String, input: Value) -> impl Future<Output = Result<Answer, Fault>> + Send;
}

/// What an operation answers.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Answer {
    /// Its output, in the members and types of the API.
    pub output: Value,
    /// What is legal but hardly meant.
    pub warnings: Vec<String>,
}

/// Why the API is not served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Plain HTTP where others could listen in.
    #[error(
        "the API would be served at {0} without TLS, where others can read and repeat requests; give certificate_file and \
         key_file under [api] in node.toml, listen on a loopback address, or set allow_plain_http = true"
    )]
    Plain(SocketAddr),
    /// An address could not be listened on.
    #[error("cannot serve the API at {address}: {source}; choose another address or end what uses it")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// No address.
    #[error("there is no address to serve the API at; name one with --api or as `listen` under [api] in node.toml")]
    NoAddress,
    /// A PEM file could not be used.
    #[error("{}: {why}; give {what} as PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should have been.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// Certificate and key do not go together, or are of a kind that is not supported.
    #[error("{} and {} cannot be used for TLS: {source}", certificate.display(), key.display())]
    Tls {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the library said.
        source: rustls::Error,
    },
}

/// The beginning of a text, `most` bytes of it or a little less, with `...` in place of the rest.
pub(crate) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("ab", 2), "ab");
        assert_eq!(cut("abc", 2), "ab...");
        assert_eq!(cut("aéb", 2), "a...");
        assert_eq!(cut("é", 0), "...");
    }
}
