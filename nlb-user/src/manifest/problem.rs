//! What is wrong with a file, and where.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Problem {
    /// The file, as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// JSON path, as in `load_balancers[0].listeners[0].port`; empty for the file as a whole.
    pub path: String,
    /// What was found and what is allowed.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, path, text } = self;
        write!(f, "{file}:{line}:{column}: ")?;
        if path.is_empty() { write!(f, "{text}") } else { write!(f, "{path}: {text}") }
    }
}

/// All that is wrong with a configuration: one line for each problem.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invalid {
    problems: Vec<Problem>,
    omitted: usize,
}

impl Invalid {
    /// How many problems are told one by one.
    pub const SHOWN: usize = 100;

    /// These problems, in the order of the file, and so many more.
    pub(super) const fn new(problems: Vec<Problem>, omitted: usize) -> Self {
        Self { problems, omitted }
    }

    /// The problems, in the order of the file; at most [`Invalid::SHOWN`] of them.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let end = if i == 0 { "" } else { "\n" };
            write!(f, "{end}{problem}")?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}
