//! Certificates of TLS listeners: the default one, which a listener is made with, and its certificate list, which
//! clients choose from by server name (guide, "Certificate list").

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Context, Void, find, paging::Paging};
use crate::model::{Code, Fault, Listener, Protocol, State};

/// A certificate as a caller gives it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Given {
    certificate_arn: Option<String>,
    is_default: Option<bool>,
}

/// A certificate as a caller is told it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Told {
    certificate_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_default: Option<bool>,
}

/// The default certificate as a listener's description tells it; nothing for listeners without.
pub fn default_of(listener: &Listener) -> Option<[Told; 1]> {
    let certificate_arn = listener.certificates.first()?.clone();
    Some([Told { certificate_arn, is_default: None }])
}

/// The ARNs that a caller gives, in their order; there is at least one.
///
/// # Errors
/// `ValidationError`.
pub fn arns(given: Vec<Given>) -> Result<Vec<String>, Fault> {
    if given.is_empty() {
        return Err(Fault::validation("Certificates is empty: name a certificate with its CertificateArn"));
    }
    let arn = |given: Given| match (given.certificate_arn, given.is_default) {
        (_, Some(_)) => Err(Fault::validation(
            "a certificate has IsDefault, which is for answers: leave it out; ModifyListener replaces the default",
        )),
        (None, None) => Err(Fault::validation("a certificate has no CertificateArn")),
        (Some(arn), None) => Ok(arn),
    };
    given.into_iter().map(arn).collect()
}

/// Whether a listener can have the certificate.
///
/// # Errors
/// `CertificateNotFound` if the inventory has none of this ARN; `InvalidConfigurationRequest` if it or its key is of a
/// kind that listeners can't use.
pub fn usable(arn: &str, context: &Context<'_>) -> Result<(), Fault> {
    if !context.inventory.certificates.contains_key(arn) {
        let message = format!("there is no certificate {arn} in the inventory: add it there first");
        return Err(Fault::new(Code::CertificateNotFound, message));
    }
    match context.inventory.unsuitable.get(arn) {
        Some(why) => Err(Fault::configuration(format!("a listener can't use certificate {arn}: {why}"))),
        None => Ok(()),
    }
}

/// Whether a load balancer may have so many certificates on the list of one listener, beside those on the lists of its
/// `others`. Default certificates don't count.
///
/// # Errors
/// `TooManyCertificates`.
pub fn within_quota<'a>(
    listed: usize,
    others: impl Iterator<Item = &'a Arc<Listener>>,
    context: &Context<'_>,
) -> Result<(), Fault> {
    let count = listed + others.map(|other| list(other).len()).sum::<usize>();
    let most = context.quotas.certificates_per_load_balancer;
    match listed > 0 && count > most as usize {
        false => Ok(()),
        true => {
            let message = format!(
                "the load balancer would have {count} certificates besides the default ones: at most {most} are \
                 allowed, remove some first"
            );
            Err(Fault::new(Code::TooManyCertificates, message))
        }
    }
}

/// The certificate list.
fn list(listener: &Listener) -> &[String] {
    listener.certificates.get(1..).unwrap_or_default()
}

/// What `AddListenerCertificates` and `RemoveListenerCertificates` are asked.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct ChangeInput {
    listener_arn: String,
    certificates: Vec<Given>,
}

/// What `AddListenerCertificates` answers: the certificate list.
#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct AddOutput {
    certificates: Vec<Told>,
}

/// Runs `AddListenerCertificates`. One that is on the list stays there once; the default one may be put there too.
///
/// # Errors
/// `ListenerNotFound`, `CertificateNotFound`, `TooManyCertificates`; `InvalidConfigurationRequest` if the listener is
/// not one of TLS, or can't use a certificate; `ValidationError`.
pub fn add(state: &mut State, input: ChangeInput, context: &Context<'_>) -> Result<AddOutput, Fault> {
    let wanted = arns(input.certificates)?;
    let mut listener = Arc::clone(find::listener(state, &input.listener_arn)?);
    if listener.protocol != Protocol::Tls {
        return Err(Fault::configuration(format!(
            "the listener has the protocol {}: only TLS listeners have certificates",
            listener.protocol
        )));
    }
    let changed = Arc::make_mut(&mut listener);
    for arn in wanted {
        usable(&arn, context)?;
        if !list(changed).contains(&arn) {
            changed.certificates.push(arn);
        }
    }
    let others = state.listeners_of(&listener.load_balancer).filter(|other| other.arn != listener.arn);
    within_quota(list(&listener).len(), others, context)?;
    let certificates = list(&listener).iter().map(|arn| told(arn, false)).collect();
    state.listeners.insert(listener.arn.clone(), listener);
    Ok(AddOutput { certificates })
}

/// Runs `RemoveListenerCertificates`. What is not on the list is no reason to refuse.
///
/// # Errors
/// `ListenerNotFound`; `OperationNotPermitted` for the default certificate, unless it is on the list too: then it only
/// leaves the list; `ValidationError`.
pub fn remove(state: &mut State, input: ChangeInput, _: &Context<'_>) -> Result<Void, Fault> {
    let unwanted = arns(input.certificates)?;
    let mut listener = Arc::clone(find::listener(state, &input.listener_arn)?);
    if let Some(default) = listener.certificates.first()
        && unwanted.contains(default)
        && !list(&listener).contains(default)
    {
        return Err(Fault::new(
            Code::OperationNotPermitted,
            format!("{default} is the default certificate of the listener: replace it with ModifyListener"),
        ));
    }
    let mut position = 0;
    Arc::make_mut(&mut listener).certificates.retain(|arn| {
        position += 1;
        position == 1 || !unwanted.contains(arn)
    });
    state.listeners.insert(listener.arn.clone(), listener);
    Ok(Void {})
}

/// What `DescribeListenerCertificates` is asked.
#[derive(Deserialize, Debug)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct DescribeInput {
    listener_arn: String,
    marker: Option<String>,
    page_size: Option<i64>,
}

/// What it answers: the default certificate, then the list.
#[derive(Serialize, Debug)]
#[serde(rename_all = "PascalCase")]
pub struct DescribeOutput {
    certificates: Vec<Told>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_marker: Option<String>,
}

/// Runs `DescribeListenerCertificates`.
///
/// # Errors
/// `ListenerNotFound`; `ValidationError`.
pub fn describe(state: &State, input: DescribeInput, _: &Context<'_>) -> Result<DescribeOutput, Fault> {
    let paging = Paging::new("listener-certificates", input.page_size, input.marker.as_deref())?;
    let listener = find::listener(state, &input.listener_arn)?;
    let all = listener.certificates.iter().enumerate().map(|(position, arn)| told(arn, position == 0));
    let (certificates, next_marker) = paging.page_of_list(all);
    Ok(DescribeOutput { certificates, next_marker })
}

fn told(arn: &str, default: bool) -> Told {
    Told { certificate_arn: arn.to_owned(), is_default: Some(default) }
}

#[cfg(test)]
mod tests;
