//! Access keys: whose requests are believed.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

/// A secret access key. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// This secret.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The secret itself, to sign with.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What belongs to the id of an access key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessKey {
    /// What its owner signs with.
    pub secret: Secret,
    /// Its owner's name, if one was given.
    pub user: Option<String>,
}

/// All access keys.
pub trait Keys: Send + Sync + 'static {
    /// The key of this id.
    fn find(&self, id: &str) -> Option<AccessKey>;
}

impl Keys for BTreeMap<String, AccessKey> {
    fn find(&self, id: &str) -> Option<AccessKey> {
        self.get(id).cloned()
    }
}

/// Access keys that can be exchanged while the API is served. Copies share what they hold.
#[derive(Clone)]
pub struct SharedKeys(Arc<RwLock<Arc<dyn Keys>>>);

impl SharedKeys {
    /// These keys.
    pub fn new(keys: impl Keys) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(keys))))
    }

    /// From the next request on, these and no others are known.
    pub fn replace(&self, keys: impl Keys) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// The key of this id.
    pub fn find(&self, id: &str) -> Option<AccessKey> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        keys.find(id)
    }
}

impl fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> AccessKey {
        AccessKey { secret: Secret::new(secret), user: None }
    }

    #[test]
    fn keys_are_exchanged_for_all_who_share_them() {
        let keys = SharedKeys::new(BTreeMap::from([("A".to_owned(), key("one"))]));
        let other = keys.clone();
        assert_eq!(other.find("A"), Some(key("one")));
        keys.replace(BTreeMap::from([("B".to_owned(), key("two"))]));
        assert_eq!((other.find("A"), other.find("B")), (None, Some(key("two"))));
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", key("wJalrXUtnFEMI")), "AccessKey { secret: Secret(..), user: None }");
    }
}
