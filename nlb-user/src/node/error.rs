//! Why `node.toml` could not be used.

use std::path::{Path, PathBuf};

/// Why `node.toml`, or a file that it names, could not be used.
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
    /// Things of the inventory that are not right, or don't go together.
    #[error("{}", problems.iter().map(|it| format!("{}: {it}", path.display())).collect::<Vec<_>>().join("\n"))]
    Inventory {
        /// The file.
        path: PathBuf,
        /// What is wrong, a sentence each.
        problems: Vec<String>,
    },
    /// A file with secrets that others can read or have written.
    #[error("{0}")]
    Exposed(String),
}

impl NodeError {
    /// A mistake at a byte of the file's text.
    pub(super) fn at(path: &Path, text: &str, byte: usize, what: String) -> Self {
        let at = byte.min(text.len());
        let before = text.get(..at).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let (line, column) = (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1);
        Self::Invalid { path: path.to_owned(), line, column, what }
    }

    /// A mistake that the parser found.
    pub(super) fn of_toml(path: &Path, text: &str, error: &toml::de::Error) -> Self {
        let what = error.message().lines().collect::<Vec<_>>().join("; ");
        Self::at(path, text, error.span().map_or(0, |span| span.start), what)
    }
}
