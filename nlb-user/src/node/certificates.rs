//! Looks at the certificate files of an inventory: which of them a TLS listener could not use, and why.

use std::{collections::BTreeMap, fs, path::Path};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use x509_parser::{
    asn1_rs::{Integer, OctetString, Sequence},
    prelude::FromDer as _,
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

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
    let public = modulus(parsed.public_key()).map_err(|why| format!("{}: {why}", file.display()))?;
    let pem = read(key)?;
    let private = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|error| format!("{} has no private key in PEM: {error}", key.display()))?;
    match modulus_of_private(&private) {
        Some(private) if private == public => Ok(()),
        Some(_) => Err(format!("{} has the key of another certificate than {}", key.display(), file.display())),
        None => Err(format!("{} has no RSA private key, which the certificate needs", key.display())),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// The modulus of a public key that listeners take.
fn modulus<'a>(key: &'a SubjectPublicKeyInfo<'_>) -> Result<&'a [u8], String> {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => {
            let modulus = without_zeros(rsa.modulus);
            match bits(modulus) {
                0..=MOST_BITS => Ok(modulus),
                bits => Err(format!("it has an RSA key of {bits} bits: the most that a listener takes is {MOST_BITS}")),
            }
        }
        Ok(PublicKey::EC(_)) => Err("it has an elliptic-curve key: listeners take RSA keys".to_owned()),
        _ => Err("it has a key that is not RSA: listeners take RSA keys".to_owned()),
    }
}

/// The modulus of an RSA private key (RFC 8017, A.1.2), also within PKCS #8 (RFC 5958, 2): both begin with a version.
fn modulus_of_private(key: &PrivateKeyDer<'_>) -> Option<Vec<u8>> {
    let (_, outer) = Sequence::from_der(key.secret_der()).ok()?;
    let (rest, _version) = Integer::from_der(&outer.content).ok()?;
    let (_, modulus) = match key {
        PrivateKeyDer::Pkcs1(_) => Integer::from_der(rest).ok()?,
        PrivateKeyDer::Pkcs8(_) => {
            let (rest, _algorithm) = Sequence::from_der(rest).ok()?;
            let (_, inner) = OctetString::from_der(rest).ok()?;
            return modulus_of_private(&PrivateKeyDer::Pkcs1(inner.as_ref().into()));
        }
        _ => return None,
    };
    Some(without_zeros(modulus.as_ref()).to_vec())
}

/// A number without its leading zero bytes: DER puts one before numbers that would look negative.
fn without_zeros(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    &number[first..]
}

/// The length of a number without leading zero bytes. `RSAPublicKey::key_size` takes one of 2049 bits for 2048.
fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Makes a certificate and its key, as `NAME.pem` and `NAME.key`.
    fn make(dir: &Path, name: &str, kind: &[&str]) -> Certificate {
        let (certificate_file, key_file) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-nodes", "-days", "1", "-subj", "/CN=test", "-newkey"]).args(kind);
        openssl.arg("-keyout").arg(&key_file).arg("-out").arg(&certificate_file);
        assert!(openssl.output().unwrap().status.success(), "{kind:?}");
        Certificate { arn: name.into(), certificate_file, key_file }
    }

    #[test]
    fn rsa_up_to_2048_bits_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let made = |kind: &[&str]| check(&make(dir.path(), "a", kind));
        assert_eq!(made(&["rsa:1024"]), Ok(()));
        assert_eq!(made(&["rsa:2048"]), Ok(()));
        // A few bits too many are not lost in a rounding to bytes.
        for bits in ["2050", "2056", "3072"] {
            let why = made(&[&format!("rsa:{bits}")]).unwrap_err();
            assert!(why.contains(&format!("{bits} bits")), "{why}");
        }
        assert!(made(&["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]).unwrap_err().contains("elliptic-curve"));
        assert!(made(&["ed25519"]).unwrap_err().contains("not RSA"));

        let number = |first: u8, bytes: usize| [vec![first], vec![0; bytes - 1]].concat();
        for (first, bytes, expected) in [(0x80, 256, 2048), (0x40, 256, 2047), (0x01, 257, 2049), (0x02, 257, 2050)] {
            assert_eq!(bits(&number(first, bytes)), expected);
        }
        assert_eq!(bits(without_zeros(&[0, 0x80])), 8);
        assert_eq!(bits(without_zeros(&[0, 0])), 0);
    }

    #[test]
    fn files_that_are_not_what_they_should_be() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.pem");
        let certificate = Certificate { arn: "arn".into(), certificate_file: file.clone(), key_file: file.clone() };
        assert!(check(&certificate).unwrap_err().starts_with("cannot read"));
        fs::write(&file, "nonsense").unwrap();
        assert!(check(&certificate).unwrap_err().contains("no certificate in PEM"));
        fs::write(&file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(check(&certificate).unwrap_err().contains("no X.509 certificate"));

        let good = make(dir.path(), "good", &["rsa:2048"]);
        let with_key = |key_file: &Path| check(&Certificate { key_file: key_file.to_owned(), ..good.clone() });
        assert!(with_key(&dir.path().join("none.key")).unwrap_err().starts_with("cannot read"));
        assert!(with_key(&good.certificate_file).unwrap_err().contains("no private key in PEM"));
        let damaged = dir.path().join("damaged.key");
        fs::write(&damaged, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
        assert!(with_key(&damaged).unwrap_err().contains("no RSA private key"));
    }

    #[test]
    fn the_key_is_the_certificate_s_own() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (make(dir.path(), "a", &["rsa:2048"]), make(dir.path(), "b", &["rsa:2048"]));
        let ec = make(dir.path(), "ec", &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
        let pair = |key: &Path| check(&Certificate { key_file: key.to_owned(), ..a.clone() });
        assert_eq!(pair(&a.key_file), Ok(()));
        assert!(pair(&b.key_file).unwrap_err().contains("another certificate"));
        assert!(pair(&ec.key_file).unwrap_err().contains("no RSA private key"));
        // The older form of the same key.
        let old = dir.path().join("old.key");
        let mut openssl = Command::new("openssl");
        openssl.args(["rsa", "-traditional", "-in"]).arg(&a.key_file).arg("-out").arg(&old);
        assert!(openssl.output().unwrap().status.success());
        assert!(fs::read_to_string(&old).unwrap().contains("BEGIN RSA PRIVATE KEY"));
        assert_eq!(pair(&old), Ok(()));
    }

    #[test]
    fn those_that_suit_are_not_told() {
        let dir = tempfile::tempdir().unwrap();
        let good = make(dir.path(), "good", &["rsa:2048"]);
        let bad = Certificate { arn: "bad".into(), key_file: dir.path().join("none"), ..good.clone() };
        let certificates = [good, bad].map(|it| (it.arn.clone(), it)).into();
        let found = unsuitable(&Inventory { certificates, ..Inventory::default() });
        assert_eq!(found.keys().collect::<Vec<_>>(), ["bad"]);
    }
}
