//! A configuration file as text.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// The largest file that is read, in bytes: many times what the largest data plane needs.
pub const MAX_BYTES: u64 = 16 << 20;

/// A file that can't be had as text.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Larger than [`MAX_BYTES`].
    #[error("{} is larger than {} MiB, which no configuration is: is it the right file?", .0.display(), MAX_BYTES >> 20)]
    TooLarge(PathBuf),
    /// Not UTF-8.
    #[error("{}:{line}: found bytes that are not UTF-8: a configuration is a JSON text in UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line they are on, from 1.
        line: usize,
    },
}

/// The text of a configuration file.
///
/// # Errors
/// If it can't be read, is larger than [`MAX_BYTES`], or is no text.
pub fn read_text(path: &Path) -> Result<String, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(io)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(ReadError::TooLarge(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        ReadError::NotText { path: path.to_owned(), line }
    })
}
