//! Where the API is served: plain HTTP where nobody else can listen in, TLS everywhere else.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::{Error, Tls};

/// Where the API is served, and how.
#[derive(Clone, Debug)]
pub struct Listen {
    /// The addresses.
    pub addresses: Vec<SocketAddr>,
    /// Certificate and key; with them every address speaks TLS and nothing else.
    pub tls: Option<Tls>,
    /// Whether addresses other than loopback ones may be served without TLS.
    pub allow_plain_http: bool,
}

impl Listen {
    /// Whether these addresses may be served like this.
    ///
    /// # Errors
    /// [`Error::Plain`] if others could read the requests; [`Error::NoAddress`] if there is none.
    pub fn check(&self) -> Result<(), Error> {
        let local = |address: &SocketAddr| address.ip().to_canonical().is_loopback();
        let open = self.addresses.iter().find(|address| !local(address));
        match open {
            Some(address) if self.tls.is_none() && !self.allow_plain_http => Err(Error::Plain(*address)),
            _ if self.addresses.is_empty() => Err(Error::NoAddress),
            _ => Ok(()),
        }
    }

    /// Listens on all of them, or on none.
    pub(super) async fn bind(&self) -> Result<Vec<TcpListener>, Error> {
        self.check()?;
        let mut listeners = Vec::new();
        for address in self.addresses.iter().copied() {
            let listener = TcpListener::bind(address).await.map_err(|source| Error::Address { address, source })?;
            listeners.push(listener);
        }
        Ok(listeners)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(addresses: &[&str], allow_plain_http: bool) -> Listen {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Listen { addresses, tls: None, allow_plain_http }
    }

    #[test]
    fn without_tls_only_loopback_unless_told_so() {
        listen(&["127.0.0.1:9800", "127.8.9.1:1", "[::1]:9800", "[::ffff:127.0.0.1]:1"], false).check().unwrap();
        for open in ["0.0.0.0:9800", "[::]:9800", "192.0.2.1:9800", "[::ffff:192.0.2.1]:1"] {
            let error = listen(&["127.0.0.1:9800", open], false).check().unwrap_err();
            assert!(matches!(error, Error::Plain(address) if address == open.parse().unwrap()), "{error}");
            listen(&[open], true).check().unwrap();
        }
        assert!(matches!(listen(&[], true).check(), Err(Error::NoAddress)));
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let error = listen(&["127.0.0.1:0", &address], false).bind().await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot serve the API at {address}: Address already in use")), "{error}");
    }
}
