//! How errors are told: in one line, from what was tried to what went wrong.

use std::{error::Error, io};

/// The error and its causes, without the causes that the sentence before them already tells.
pub fn text(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text += &format!(": {told}");
        }
        cause = error.source();
    }
    text
}

/// Whether standard output was closed by who reads it.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context as _, anyhow};

    #[test]
    fn causes_are_told_once() {
        let error = anyhow!("no such file").context("cannot read lb.json: no such file; name another").context("apply");
        assert_eq!(text(error.as_ref()), "apply: cannot read lb.json: no such file; name another");
        let error = anyhow!("EPERM").context("cannot attach");
        assert_eq!(text(error.as_ref()), "cannot attach: EPERM");
    }

    #[test]
    fn a_closed_pipe_is_known_and_nothing_else() {
        let broken: Result<(), _> = Err(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_broken_pipe(&broken.context("printing").unwrap_err()));
        assert!(!is_broken_pipe(&anyhow!("Broken pipe")));
    }
}
