//! How a refusal is told: a code of the reference and a sentence of our own.

use std::fmt;

use serde::Serialize;

/// Declares the codes with their texts and HTTP statuses.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal $(, $status:literal)?;)*) => {
        /// An error code of the API (version 2015-12-01, "Common Errors" and each operation's own).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// As the API writes it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that goes with it: 400 unless the reference says otherwise.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => { #[allow(unused_mut, unused_assignments, reason = "most are 400")] let mut status = 400; $(status = $status;)? status })* }
            }

            /// The code of this text, if there is one.
            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }
        }
    };
}

codes! {
    /// The request's signature has no key or no parts.
    IncompleteSignature = "IncompleteSignature";
    /// Something went wrong on our side.
    InternalFailure = "InternalFailure", 500;
    /// No operation of this name.
    InvalidAction = "InvalidAction";
    /// The key of the signature is not known.
    InvalidClientTokenId = "InvalidClientTokenId", 403;
    /// The request is not signed.
    MissingAuthenticationToken = "MissingAuthenticationToken", 403;
    /// No operation named.
    MissingAction = "MissingAction";
    /// The form cannot be read.
    MalformedQueryString = "MalformedQueryString", 404;
    /// The signature is too old or too new.
    RequestExpired = "RequestExpired";
    /// The signature is another one.
    SignatureDoesNotMatch = "SignatureDoesNotMatch", 403;
    /// The request is larger than what is read.
    RequestEntityTooLarge = "RequestEntityTooLarge", 413;
    /// The controller cannot answer now.
    ServiceUnavailable = "ServiceUnavailable", 503;
    /// Too many calls at once.
    Throttling = "Throttling";
    /// A parameter is missing, malformed or out of range.
    ValidationError = "ValidationError";
    /// The operation is for another kind of load balancer.
    UnsupportedOperation = "UnsupportedOperation";
    /// See `AlpnPolicy` of `CreateListener`.
    AlpnPolicyNotFound = "ALPNPolicyNotFound";
    /// See `SubnetMappings` of `CreateLoadBalancer`.
    AllocationIdNotFound = "AllocationIdNotFound";
    /// See `Subnets` of `CreateLoadBalancer`.
    AvailabilityZoneNotSupported = "AvailabilityZoneNotSupported";
    /// No such certificate in the inventory.
    CertificateNotFound = "CertificateNotFound";
    /// Another listener has the port and protocol.
    DuplicateListener = "DuplicateListener";
    /// Another load balancer has the name, with other settings.
    DuplicateLoadBalancerName = "DuplicateLoadBalancerName";
    /// A tag key stands twice in one request.
    DuplicateTagKeys = "DuplicateTagKeys";
    /// Another target group has the name, with other settings.
    DuplicateTargetGroupName = "DuplicateTargetGroupName";
    /// Target health cannot be told now.
    HealthUnavailable = "HealthUnavailable", 500;
    /// Listener and target group do not go together.
    IncompatibleProtocols = "IncompatibleProtocols";
    /// The settings do not go together.
    InvalidConfigurationRequest = "InvalidConfigurationRequest";
    /// The action is not one of this kind of load balancer.
    InvalidLoadBalancerAction = "InvalidLoadBalancerAction";
    /// The scheme does not go with the rest.
    InvalidScheme = "InvalidScheme";
    /// No such security group.
    InvalidSecurityGroup = "InvalidSecurityGroup";
    /// The subnet cannot be used.
    InvalidSubnet = "InvalidSubnet";
    /// The target does not exist, is in a wrong state or of a wrong kind.
    InvalidTarget = "InvalidTarget";
    /// No such listener.
    ListenerNotFound = "ListenerNotFound";
    /// No such load balancer.
    LoadBalancerNotFound = "LoadBalancerNotFound";
    /// The operation is not allowed in this state.
    OperationNotPermitted = "OperationNotPermitted";
    /// It is in use.
    ResourceInUse = "ResourceInUse";
    /// No such resource.
    ResourceNotFound = "ResourceNotFound";
    /// No such rule.
    RuleNotFound = "RuleNotFound";
    /// No such security policy.
    SslPolicyNotFound = "SSLPolicyNotFound";
    /// No such subnet in the inventory.
    SubnetNotFound = "SubnetNotFound";
    /// A target group belongs to one load balancer.
    TargetGroupAssociationLimit = "TargetGroupAssociationLimit";
    /// No such target group.
    TargetGroupNotFound = "TargetGroupNotFound";
    /// Quota.
    TooManyActions = "TooManyActions";
    /// Quota.
    TooManyCertificates = "TooManyCertificates";
    /// Quota.
    TooManyListeners = "TooManyListeners";
    /// Quota.
    TooManyLoadBalancers = "TooManyLoadBalancers";
    /// Quota.
    TooManyRegistrationsForTargetId = "TooManyRegistrationsForTargetId";
    /// Quota.
    TooManyTags = "TooManyTags";
    /// Quota.
    TooManyTargetGroups = "TooManyTargetGroups";
    /// Quota.
    TooManyTargets = "TooManyTargets";
    /// Quota.
    TooManyUniqueTargetGroupsPerLoadBalancer = "TooManyUniqueTargetGroupsPerLoadBalancer";
    /// The protocol is not one of this kind of load balancer.
    UnsupportedProtocol = "UnsupportedProtocol";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why a call was refused. Nothing was changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message} ({code})")]
pub struct Fault {
    /// For programs.
    pub code: Code,
    /// For people: what was found and what is allowed.
    pub message: String,
}

impl Fault {
    /// A refusal with this code and sentence.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A parameter is missing, malformed or out of range.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::new(Code::ValidationError, message)
    }

    /// The settings do not go together.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidConfigurationRequest, message)
    }
}
