//! Access keys: who may call the API, and the files that their secrets are in.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{File, Metadata},
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use super::{NodeError, inventory::Source};

/// Longest id of an access key.
const MAX_ID: usize = 128;
/// No secret, and no file of keys, is longer.
const MAX_BYTES: u64 = 1 << 20;

/// What belongs to the id of an access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    secret: String,
    user: Option<String>,
}

impl Key {
    /// A key that no file has.
    pub fn new(secret: impl Into<String>, user: Option<String>) -> Self {
        Self { secret: secret.into(), user }
    }

    /// The secret that signatures are made with.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// Who has the key, as the audit log tells.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("user", &self.user).finish_non_exhaustive()
    }
}

/// All access keys, by id.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct KeyRing(BTreeMap<String, Key>);

impl KeyRing {
    /// The key of this id.
    pub fn get(&self, id: &str) -> Option<&Key> {
        self.0.get(id)
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Key)> {
        self.0.iter().map(|(id, key)| (id.as_str(), key))
    }

    /// Whether there is none, so that no call can be signed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Key)> for KeyRing {
    fn from_iter<I: IntoIterator<Item = (String, Key)>>(keys: I) -> Self {
        Self(keys.into_iter().collect())
    }
}

/// An `[[access_key]]`, as it is written.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    #[serde(deserialize_with = "id")]
    id: String,
    #[serde(default, deserialize_with = "hidden")]
    secret: Option<Hidden>,
    #[serde(default)]
    secret_file: Option<PathBuf>,
    #[serde(default)]
    user_name: Option<String>,
}

impl Entry {
    /// Whether it has its secret in itself.
    pub const fn has_secret(&self) -> bool {
        self.secret.is_some()
    }
}

/// A secret that is never printed.
#[derive(Clone, PartialEq, Eq)]
struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// A file of access keys and nothing else.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default)]
    access_key: Vec<Spanned<Entry>>,
}

/// Reads the secrets of `entries`, which are of `source`, and adds them.
///
/// # Errors
/// If a secret is missing or can't be read, if others can read it, or if an id is there already.
pub fn add(keys: &mut KeyRing, source: Source<'_>, entries: &[Spanned<Entry>]) -> Result<(), NodeError> {
    for entry in entries {
        let refused = |what| NodeError::at(source.path, source.text, entry.span().start, what);
        let Entry { id, secret, secret_file, user_name } = entry.get_ref();
        let secret = match (secret, secret_file) {
            (Some(Hidden(secret)), None) => secret.clone(),
            (None, Some(file)) => {
                let file = source.resolve(file);
                let text = read_private(&file)
                    .map_err(|error| refused(format!("access_key: no secret for {id}: {}", told(&error, &file))))?;
                text.trim_end().to_owned()
            }
            (None, None) | (Some(_), Some(_)) => {
                return Err(refused(format!("access_key: {id} needs either a secret_file or a secret")));
            }
        };
        if secret.is_empty() || secret.chars().any(|it| it.is_whitespace() || it.is_control()) {
            let what = "needs a secret of one word: one or more characters, none of them blank";
            return Err(refused(format!("access_key: {id} {what}")));
        }
        if keys.0.insert(id.clone(), Key { secret, user: user_name.clone() }).is_some() {
            return Err(refused(format!("access_key: found the id {id:?} a second time; each key has its own")));
        }
    }
    Ok(())
}

/// Reads a file of access keys and adds them.
///
/// # Errors
/// As [`add`], and if the file itself can't be read, or others can read it.
pub fn add_file(keys: &mut KeyRing, path: &Path) -> Result<(), NodeError> {
    let text = read_private(path).map_err(|error| match error {
        PrivateError::Io(why) => NodeError::Unreadable { path: path.to_owned(), why },
        PrivateError::Exposed(what) => NodeError::Exposed(what),
    })?;
    let file: KeyFile = toml::from_str(&text).map_err(|error| NodeError::of_toml(path, &text, &error))?;
    add(keys, Source { path, text: &text }, &file.access_key)
}

/// Why a private file could not be read.
enum PrivateError {
    Io(io::Error),
    Exposed(String),
}

fn told(error: &PrivateError, path: &Path) -> String {
    match error {
        PrivateError::Io(why) => format!("cannot read {}: {why}", path.display()),
        PrivateError::Exposed(what) => what.clone(),
    }
}

/// Reads a file that only its owner can read.
fn read_private(path: &Path) -> Result<String, PrivateError> {
    let file = File::open(path).map_err(PrivateError::Io)?;
    // Of the open file, so that it is the one that is read.
    guard(path, &file.metadata().map_err(PrivateError::Io)?).map_err(PrivateError::Exposed)?;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(PrivateError::Io)?;
    Ok(text)
}

/// Whether a file that has a private key in it is its owner's alone.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub fn private(path: &Path) -> Result<(), String> {
    let found = path.metadata().map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    guard(path, &found)
}

/// Says what is wrong with the owner and the mode of a file that has secrets in it.
pub fn guard(path: &Path, found: &Metadata) -> Result<(), String> {
    let (path, mode, owner) = (path.display(), found.mode() & 0o777, found.uid());
    if mode & 0o077 != 0 {
        return Err(format!("{path} has secrets in it, and mode {mode:03o} lets others at it: `chmod 600 {path}`"));
    }
    if owner != 0 && owner != nix::unistd::geteuid().as_raw() {
        return Err(format!("{path} has secrets in it and belongs to user {owner}: it must be root's or yours"));
    }
    Ok(())
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=MAX_ID).contains(&id.len()) && id.bytes().all(allowed) {
        return Ok(id);
    }
    Err(D::Error::custom(format!("id: found {id:?}, allowed are 1 to {MAX_ID} letters, digits, _ and -")))
}

fn hidden<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Hidden>, D::Error> {
    // The parser's own message would have the value in it.
    let secret =
        String::deserialize(deserializer).map_err(|_| D::Error::custom("secret: a text in quotes is expected"))?;
    Ok(Some(Hidden(secret)))
}
