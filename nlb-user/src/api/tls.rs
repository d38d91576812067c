//! TLS for the API: certificate and key from PEM files, which can be read again while it is served.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;

use super::Error;

/// A server's certificate and key. Copies share what they hold.
#[derive(Clone)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads the certificate, with its chain, and its private key.
    ///
    /// # Errors
    /// If one of them cannot be read, or they do not go together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let config = Arc::new(RwLock::new(Arc::new(read(certificate, key)?)));
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), config })
    }

    /// Reads the files again: new connections get what they hold now.
    ///
    /// # Errors
    /// As [`Tls::load`]; new connections get what they got before then.
    pub fn reload(&self) -> Result<(), Error> {
        let config = Arc::new(read(&self.certificate, &self.key)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// What accepts a new connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).field("key", &self.key).finish_non_exhaustive()
    }
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, Error> {
    let pem = |path: &Path, what, why: String| Error::Pem { path: path.to_owned(), what, why };
    let chain_failed = |why| pem(certificate, "a certificate and its chain", why);
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| chain_failed(error.to_string()))?;
    if chain.is_empty() {
        return Err(chain_failed("no certificate is in it".to_owned()));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| pem(key, "a private key", error.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    let mut config =
        config.map_err(|source| Error::Tls { certificate: certificate.to_owned(), key: key.to_owned(), source })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::fs;

    /// A certificate for `localhost`, good until 2126, and its key.
    pub const CERTIFICATE: &str = include_str!("testdata/localhost.pem");
    pub const KEY: &str = include_str!("testdata/localhost.key");
    const OTHER_KEY: &str = include_str!("testdata/other.key");

    #[test]
    fn what_is_wrong_with_files_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("a.pem"), dir.path().join("a.key"));
        let message = || Tls::load(&certificate, &key).unwrap_err().to_string();
        assert!(message().contains("a.pem: "), "{}", message());
        fs::write(&certificate, "nothing").unwrap();
        assert!(
            message().contains("no certificate is in it; give a certificate and its chain as PEM"),
            "{}",
            message()
        );
        fs::write(&certificate, CERTIFICATE).unwrap();
        fs::write(&key, CERTIFICATE).unwrap();
        assert!(message().contains("give a private key as PEM"), "{}", message());
        fs::write(&key, OTHER_KEY).unwrap();
        assert!(message().contains("cannot be used for TLS"), "{}", message());
        fs::write(&key, KEY).unwrap();
        let tls = Tls::load(&certificate, &key).unwrap();
        fs::write(&key, OTHER_KEY).unwrap();
        let before = Arc::as_ptr(&tls.config.read().unwrap());
        tls.reload().unwrap_err();
        assert_eq!(before, Arc::as_ptr(&tls.config.read().unwrap()));
        fs::write(&key, KEY).unwrap();
        tls.reload().unwrap();
        assert_ne!(before, Arc::as_ptr(&tls.config.read().unwrap()));
    }
}
