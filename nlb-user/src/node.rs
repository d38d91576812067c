//! What belongs to the node and not to the load balancers: `node.toml`.
//!
//! Every key has a default, so the file is optional. Every command reads it, to find the same node.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, de::Error as _};

/// Where the file is looked for if `--config` names none.
pub const DEFAULT_FILE: &str = "/etc/nlb/node.toml";
/// Bounds of `max_flows`. The upper one is 6 GiB of flow tables.
pub const MAX_FLOWS: std::ops::RangeInclusive<u32> = 1024..=16_777_216;
/// How long a zone's name may be, in bytes.
const MAX_ZONE: usize = 32;
/// How long a unix socket's path may be: `sun_path` without its final zero byte, see unix(7).
const MAX_SOCKET: usize = 107;

/// The node's own settings.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// The zone that the node belongs to: 1 to 32 of `a-z`, `0-9` and `-`.
    #[serde(deserialize_with = "zone")]
    pub zone: String,
    /// The directory, on a BPF file system, in which maps, programs and links are pinned.
    #[serde(deserialize_with = "absolute")]
    pub bpffs: PathBuf,
    /// The unix socket of the controller.
    #[serde(deserialize_with = "socket")]
    pub socket: PathBuf,
    /// The directory of the stored desired state and of the node's secret.
    #[serde(deserialize_with = "absolute")]
    pub state_dir: PathBuf,
    /// How many flows of a kind (TCP established, TCP half-open, UDP) are remembered at once. Read when the maps are
    /// created; 1024 to 16777216.
    #[serde(deserialize_with = "max_flows")]
    pub max_flows: u32,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            zone: "zone-a".to_owned(),
            bpffs: "/sys/fs/bpf/nlb".into(),
            socket: "/run/nlb/nlb.sock".into(),
            state_dir: "/var/lib/nlb".into(),
            max_flows: 262_144,
        }
    }
}

/// Why `node.toml` could not be used.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The file could not be read.
    #[error("{}: {why}; name the node's file with --config, or leave the option out to use the defaults", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: std::io::Error,
    },
    /// The file's text was refused.
    #[error("{}:{line}:{column}: {what}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// What was found and what is allowed.
        what: String,
    },
}

impl Node {
    /// Reads `file`; without one [`DEFAULT_FILE`], if it exists, else the defaults.
    ///
    /// # Errors
    /// [`NodeError`] if the file cannot be read or is refused.
    pub fn load(file: Option<&Path>) -> Result<Self, NodeError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(why) => Err(NodeError::Unreadable { path: path.to_owned(), why }),
        }
    }

    /// Reads the text of a file; `path` is only for messages.
    ///
    /// # Errors
    /// [`NodeError::Invalid`], with the place of the first mistake.
    pub fn parse(text: &str, path: &Path) -> Result<Self, NodeError> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let before = text.get(..at).unwrap_or_default();
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            NodeError::Invalid {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                what: error.message().lines().collect::<Vec<_>>().join("; "),
            }
        })
    }
}

fn zone<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let zone = String::deserialize(deserializer)?;
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=MAX_ZONE).contains(&zone.len()) && zone.bytes().all(allowed) {
        return Ok(zone);
    }
    Err(D::Error::custom(format!("zone: found {zone:?}, allowed are 1 to {MAX_ZONE} characters of a-z, 0-9 and -")))
}

fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    if path.is_absolute() {
        return Ok(path);
    }
    Err(D::Error::custom(format!("found {path:?}, allowed are absolute paths (beginning with /)")))
}

fn socket<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = absolute(deserializer)?;
    match path.as_os_str().len() {
        0..=MAX_SOCKET => Ok(path),
        len => Err(D::Error::custom(format!("socket: found a path of {len} bytes, at most {MAX_SOCKET} are allowed"))),
    }
}

fn max_flows<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let found = i64::deserialize(deserializer)?;
    u32::try_from(found).ok().filter(|found| MAX_FLOWS.contains(found)).ok_or_else(|| {
        let (least, most) = MAX_FLOWS.into_inner();
        D::Error::custom(format!("max_flows: found {found}, allowed are {least} to {most}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        Node::parse(text, Path::new("node.toml")).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(Node::parse("", Path::new("node.toml")).unwrap(), Node::default());
    }

    #[test]
    fn keys_are_read() {
        let text = "zone = \"b\"\nbpffs = \"/tmp/b\"\nsocket = \"/tmp/s\"\nstate_dir = \"/tmp/d\"\nmax_flows = 4096\n";
        let node = Node::parse(text, Path::new("node.toml")).unwrap();
        let expected = Node {
            zone: "b".into(),
            bpffs: "/tmp/b".into(),
            socket: "/tmp/s".into(),
            state_dir: "/tmp/d".into(),
            max_flows: 4096,
        };
        assert_eq!(node, expected);
    }

    #[test]
    fn mistakes_name_the_place_what_was_found_and_what_is_allowed() {
        assert_eq!(
            message("zone = \"a\"\nmax_flow = 5\n"),
            "node.toml:2:1: unknown field `max_flow`, expected one of `zone`, `bpffs`, `socket`, `state_dir`, `max_flows`"
        );
        assert_eq!(message("max_flows = 5"), "node.toml:1:13: max_flows: found 5, allowed are 1024 to 16777216");
        assert_eq!(message("max_flows = -1"), "node.toml:1:13: max_flows: found -1, allowed are 1024 to 16777216");
        assert_eq!(
            message("zone = \"Zone A\""),
            "node.toml:1:8: zone: found \"Zone A\", allowed are 1 to 32 characters of a-z, 0-9 and -"
        );
        assert_eq!(
            message("\nbpffs = \"bpf\""),
            "node.toml:2:9: found \"bpf\", allowed are absolute paths (beginning with /)"
        );
        assert!(message("zone = 3").starts_with("node.toml:1:8: invalid type: integer"), "{}", message("zone = 3"));
        assert!(!message("zone = ").contains('\n'));
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let error = Node::load(Some(Path::new("/nonexistent/node.toml"))).unwrap_err().to_string();
        assert!(error.starts_with("/nonexistent/node.toml: No such file"), "{error}");
    }
}
