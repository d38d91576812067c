//! What TLS listeners have besides: certificates, a security policy and an ALPN policy (guide, "TLS listeners for your
//! Network Load Balancer").

use serde::Deserialize;

use super::{Context, certificates, policies};
use crate::model::{Code, Fault, Listener, Protocol};

/// The ALPN policy that is none.
const NO_ALPN: &str = "None";

/// Settings of a listener that only TLS listeners have; empty for the others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TlsSettings {
    /// Certificates by ARN: the default one first, then those of the certificate list.
    pub certificates: Vec<String>,
    /// The security policy's name.
    pub ssl_policy: Option<String>,
    /// The ALPN policy's name.
    pub alpn_policy: Option<String>,
}

impl TlsSettings {
    /// Those of a listener.
    pub fn of(listener: &Listener) -> Self {
        Self {
            certificates: listener.certificates.clone(),
            ssl_policy: listener.ssl_policy.clone(),
            alpn_policy: listener.alpn_policy.clone(),
        }
    }

    /// What a caller of the API gives: there, the certificate list has operations of its own.
    ///
    /// # Errors
    /// `TooManyCertificates` if there is more than one; `ValidationError` if a list is empty, or a certificate or the
    /// ALPN policy is malformed.
    pub fn given(
        certificates: Option<Vec<certificates::Given>>,
        ssl_policy: Option<String>,
        alpn_policy: Option<Vec<String>>,
    ) -> Result<Self, Fault> {
        let certificates = certificates.map(certificates::arns).transpose()?.unwrap_or_default();
        if certificates.len() > 1 {
            let count = certificates.len();
            let message = format!(
                "Certificates has {count}: a listener has one default certificate, AddListenerCertificates adds others"
            );
            return Err(Fault::new(Code::TooManyCertificates, message));
        }
        let alpn_policy = match alpn_policy.as_deref() {
            None => None,
            Some([policy]) => Some(policy.clone()),
            Some(policies) => {
                let count = policies.len();
                return Err(Fault::validation(format!("AlpnPolicy names {count} policies: name one")));
            }
        };
        Ok(Self { certificates, ssl_policy, alpn_policy })
    }

    /// The settings of a new listener with this protocol: with a policy if none was given, and each certificate of the
    /// list once.
    ///
    /// # Errors
    /// `InvalidConfigurationRequest` if there are any and the protocol is not TLS, or a certificate can't be used;
    /// `ValidationError` if a TLS listener has no certificate; `CertificateNotFound`, `SSLPolicyNotFound`,
    /// `ALPNPolicyNotFound`.
    pub fn checked(self, protocol: Protocol, context: &Context<'_>) -> Result<Self, Fault> {
        if protocol != Protocol::Tls {
            return self.none(protocol);
        }
        let mut certificates: Vec<String> = Vec::new();
        for (position, arn) in self.certificates.into_iter().enumerate() {
            certificates::usable(&arn, context)?;
            if position == 0 || !certificates[1..].contains(&arn) {
                certificates.push(arn);
            }
        }
        if certificates.is_empty() {
            return Err(Fault::validation(
                "a TLS listener needs a certificate: name one certificate of the inventory with Certificates",
            ));
        }
        let ssl_policy = Some(ssl_policy(self.ssl_policy)?);
        Ok(Self { certificates, ssl_policy, alpn_policy: self.alpn_policy.map(alpn_policy).transpose()?.flatten() })
    }

    /// The settings of a listener that had `before`, where those of `self` are given. The certificate list stays.
    ///
    /// # Errors
    /// As [`Self::checked`]; certificates and policies that stay are not looked at again.
    pub fn replacing(self, before: Self, protocol: Protocol, context: &Context<'_>) -> Result<Self, Fault> {
        if protocol != Protocol::Tls || before.certificates.is_empty() {
            return self.checked(protocol, context);
        }
        let mut after = before;
        if let Some(arn) = self.certificates.into_iter().next() {
            certificates::usable(&arn, context)?;
            after.certificates[0] = arn;
        }
        if self.ssl_policy.is_some() {
            after.ssl_policy = Some(ssl_policy(self.ssl_policy)?);
        }
        if let Some(policy) = self.alpn_policy {
            after.alpn_policy = alpn_policy(policy)?;
        }
        Ok(after)
    }

    /// That there are none, as other protocols need it.
    fn none(self, protocol: Protocol) -> Result<Self, Fault> {
        let given = [
            ("a certificate", !self.certificates.is_empty()),
            ("a security policy", self.ssl_policy.is_some()),
            ("an ALPN policy", self.alpn_policy.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((what, _)) => Err(Fault::configuration(format!(
                "the listener has the protocol {protocol} and {what}: only TLS listeners have that, leave it out"
            ))),
            None => Ok(self),
        }
    }
}

fn ssl_policy(given: Option<String>) -> Result<String, Fault> {
    let name = given.unwrap_or_else(|| policies::DEFAULT_SECURITY.to_owned());
    match policies::security(&name) {
        Some(_) => Ok(name),
        None => Err(policies::unknown(&name)),
    }
}

/// `None` is the same as no policy.
fn alpn_policy(name: String) -> Result<Option<String>, Fault> {
    match policies::alpn(&name) {
        Some(_) => Ok((name != NO_ALPN).then_some(name)),
        None => {
            let message = format!("there is no ALPN policy {name}: there are {}", policies::alpn_names());
            Err(Fault::new(Code::AlpnPolicyNotFound, message))
        }
    }
}

/// Mutual TLS as a caller asks for it: only to have it off.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub struct MutualAuthentication {
    mode: Option<String>,
    trust_store_arn: Option<String>,
    ignore_client_certificate_expiry: Option<bool>,
    trust_store_association_status: Option<String>,
    advertise_trust_store_ca_names: Option<String>,
}

impl MutualAuthentication {
    /// That it is off.
    ///
    /// # Errors
    /// `InvalidConfigurationRequest` if it is not; `ValidationError` if that can't be told.
    pub fn check(&self) -> Result<(), Fault> {
        match self.mode.as_deref() {
            None | Some("off") => {}
            Some("passthrough" | "verify") => return Err(Self::refusal()),
            Some(other) => {
                let message = format!("the mode of MutualAuthentication is `{other}`: allowed is off");
                return Err(Fault::validation(message));
            }
        }
        let more = self.trust_store_arn.is_some()
            || self.ignore_client_certificate_expiry == Some(true)
            || self.trust_store_association_status.is_some()
            || self.advertise_trust_store_ca_names.as_deref().is_some_and(|advertise| advertise != "off");
        match more {
            true => Err(Self::refusal()),
            false => Ok(()),
        }
    }

    fn refusal() -> Fault {
        Fault::configuration(
            "Network Load Balancers do no mutual TLS: leave MutualAuthentication out; with a TCP listener the targets \
             can do it themselves",
        )
    }
}
