//! Amazon Resource Names: how resources are named in the API.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::Account;

/// The name of a resource, as in
/// `arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/web/50dc6c495c0c9188`.
///
/// Whether there is such a resource is for [`super::State`] to say.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Arn(Arc<str>);

/// What an ARN of this service names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ArnKind {
    /// `loadbalancer/net/NAME/ID`.
    LoadBalancer,
    /// `listener/net/NAME/ID/ID`.
    Listener,
    /// `listener-rule/net/NAME/ID/ID/ID`.
    Rule,
    /// `targetgroup/NAME/ID`.
    TargetGroup,
}

/// The last part of a new ARN: 16 hexadecimal digits, at random.
///
/// # Panics
/// If the kernel has no random numbers, which it always has.
pub fn new_id() -> String {
    #[expect(clippy::expect_used, reason = "getrandom(2) fails on no supported kernel")]
    let id = getrandom::u64().expect("getrandom(2)");
    format!("{id:016x}")
}

impl Arn {
    fn new(account: &Account, resource: fmt::Arguments<'_>) -> Self {
        let Account { region, id } = account;
        Self(format!("arn:aws:elasticloadbalancing:{region}:{id}:{resource}").into())
    }

    /// A load balancer's.
    pub fn load_balancer(account: &Account, name: &str, id: &str) -> Self {
        Self::new(account, format_args!("loadbalancer/net/{name}/{id}"))
    }

    /// A target group's.
    pub fn target_group(account: &Account, name: &str, id: &str) -> Self {
        Self::new(account, format_args!("targetgroup/{name}/{id}"))
    }

    /// A listener's of this load balancer.
    pub fn listener(&self, id: &str) -> Self {
        Self(format!("{}/{id}", self.0.replacen(":loadbalancer/", ":listener/", 1)).into())
    }

    /// A rule's of this listener.
    pub fn rule(&self, id: &str) -> Self {
        Self(format!("{}/{id}", self.0.replacen(":listener/", ":listener-rule/", 1)).into())
    }

    /// Reads what a caller says is an ARN: nothing but its shape is looked at.
    pub fn parse(text: &str) -> Option<(Self, ArnKind)> {
        let mut parts = text.splitn(6, ':');
        let known = parts.next() == Some("arn")
            && parts.next().is_some_and(|partition| partition.starts_with("aws"))
            && parts.next() == Some("elasticloadbalancing")
            && parts.next().is_some()
            && parts.next().is_some();
        let resource: Vec<&str> = parts.next()?.split('/').collect();
        let kind = match resource.as_slice() {
            ["loadbalancer", _, _, _] => ArnKind::LoadBalancer,
            ["listener", _, _, _, _] => ArnKind::Listener,
            ["listener-rule", _, _, _, _, _] => ArnKind::Rule,
            ["targetgroup", _, _] => ArnKind::TargetGroup,
            _ => return None,
        };
        (known && resource.iter().all(|part| !part.is_empty())).then(|| (Self(text.into()), kind))
    }

    /// The last part: 16 hexadecimal digits.
    pub fn id(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Lets maps that are keyed by ARN be asked with text.
impl std::borrow::Borrow<str> for Arn {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        Account { region: "us-east-2".into(), id: "123456789012".into() }
    }

    /// The forms of the guide's tutorial.
    #[test]
    fn forms() {
        let balancer = Arn::load_balancer(&account(), "my-load-balancer", "1234567890123456");
        let prefix = "arn:aws:elasticloadbalancing:us-east-2:123456789012:";
        assert_eq!(balancer.as_str(), format!("{prefix}loadbalancer/net/my-load-balancer/1234567890123456"));
        let listener = balancer.listener("0000000000000001");
        assert_eq!(
            listener.as_str(),
            format!("{prefix}listener/net/my-load-balancer/1234567890123456/0000000000000001")
        );
        let rule = listener.rule("0000000000000002");
        assert!(rule.as_str().starts_with(&format!("{prefix}listener-rule/net/my-load-balancer/")));
        let group = Arn::target_group(&account(), "my-targets", "1234567890123456");
        assert_eq!(group.as_str(), format!("{prefix}targetgroup/my-targets/1234567890123456"));
        let kinds = [&balancer, &listener, &rule, &group].map(|arn| Arn::parse(arn.as_str()).unwrap().1);
        assert_eq!(kinds, [ArnKind::LoadBalancer, ArnKind::Listener, ArnKind::Rule, ArnKind::TargetGroup]);
        assert_eq!(rule.id(), "0000000000000002");
    }

    #[test]
    fn what_is_no_arn() {
        for text in ["", "web", "arn:aws:s3:::bucket", "arn:aws:elasticloadbalancing:us-east-1:1:targetgroup/web"] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }
}
