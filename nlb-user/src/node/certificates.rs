//! Looks at the certificate files of an inventory: which of them a TLS listener could not use, and why.

use std::{collections::BTreeMap, fs, path::Path};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use x509_parser::{prelude::FromDer as _, public_key::PublicKey, x509::SubjectPublicKeyInfo};

use crate::model::{Certificate, Inventory};

/// The longest RSA key, in bits (guide, "Server certificates").
const MOST_BITS: usize = 2048;

/// The certificates that no listener can use, by ARN, and why.
pub fn unsuitable(inventory: &Inventory) -> BTreeMap<String, String> {
    let problem = |certificate: &Certificate| Some((certificate.arn.clone(), check(certificate).err()?));
    inventory.certificates.values().filter_map(problem).collect()
}

/// Whether a listener can use it.
fn check(certificate: &Certificate) -> Result<(), String> {
    let (file, key) = (&certificate.certificate_file, &certificate.key_file);
    let pem = read(file)?;
    let first = CertificateDer::from_pem_slice(&pem)
        .map_err(|error| format!("{} has no certificate in PEM: {error}", file.display()))?;
    let (_, parsed) = x509_parser::certificate::X509Certificate::from_der(&first)
        .map_err(|error| format!("{} has no X.509 certificate: {error}", file.display()))?;
    suits(parsed.public_key()).map_err(|why| format!("{}: {why}", file.display()))?;
    let pem = read(key)?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| format!("{} has no private key in PEM: {error}", key.display()))?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn suits(key: &SubjectPublicKeyInfo<'_>) -> Result<(), String> {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) if rsa.key_size() <= MOST_BITS => Ok(()),
        Ok(PublicKey::RSA(rsa)) => {
            Err(format!("it has an RSA key of {} bits: the most that a listener takes is {MOST_BITS}", rsa.key_size()))
        }
        Ok(PublicKey::EC(_)) => Err("it has an elliptic-curve key: listeners take RSA keys".to_owned()),
        _ => Err("it has a key that is not RSA: listeners take RSA keys".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn made(kind: &[&str]) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let (certificate_file, key_file) = (dir.path().join("c.pem"), dir.path().join("k.pem"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=test", "-newkey"]).args(kind);
        openssl.arg("-keyout").arg(&key_file).arg("-out").arg(&certificate_file);
        assert!(openssl.output().unwrap().status.success());
        check(&Certificate { arn: "arn".into(), certificate_file, key_file })
    }

    #[test]
    fn rsa_up_to_2048_bits_and_nothing_else() {
        assert_eq!(made(&["rsa:2048"]), Ok(()));
        assert!(made(&["rsa:3072"]).unwrap_err().contains("3072 bits"));
        assert!(made(&["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]).unwrap_err().contains("elliptic-curve"));
    }

    #[test]
    fn files_that_are_not_what_they_should_be() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.pem");
        let certificate = Certificate { arn: "arn".into(), certificate_file: file.clone(), key_file: file.clone() };
        assert!(check(&certificate).unwrap_err().starts_with("cannot read"));
        fs::write(&file, "nonsense").unwrap();
        assert!(check(&certificate).unwrap_err().contains("no certificate in PEM"));
    }
}
