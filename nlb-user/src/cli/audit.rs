//! `nlb audit`: who called the API, and what came of it.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use jiff::{Span, Timestamp, civil::Date, tz::TimeZone};
use serde::Serialize;
use serde_json::Value;

use super::output::{Output, Show, render, table};
use crate::{
    audit::{self, Filter},
    node::Node,
};

/// What can be done with the audit log.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List calls of the API, the newest last; works with no controller running
    List(Args),
}

/// Which calls.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only the newest so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one)]
    limit: usize,
    /// Only calls of this operation, such as CreateLoadBalancer
    #[arg(long, value_name = "OPERATION")]
    name: Option<String>,
    /// Only calls that were refused
    #[arg(long)]
    errors: bool,
    /// Only calls since then: a time such as 2026-11-21T12:00:00Z, a day (UTC), or how long ago, such as 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// Where the controller keeps its state, and so the log, if it was told on its command line [default: state_dir of
    /// node.toml]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

/// Does it.
///
/// # Errors
/// If the log cannot be read.
pub fn execute(command: Command, node: &Node, output: &Output) -> Result<()> {
    let Command::List(Args { limit, name, errors, since, state }) = command;
    let mut node = node.clone();
    if let Some(state) = state {
        node.state_dir = state;
    }
    let path = audit::Settings::of(&node).file;
    let reading = audit::read(&path, &Filter { limit, name, errors, since })?;
    if reading.unreadable > 0 {
        eprintln!("nlb: {} lines of {} are no records and are left out", reading.unreadable, path.display());
    }
    output.show(&Calls { path, records: reading.records })
}

#[derive(Serialize)]
struct Calls {
    #[serde(skip)]
    path: PathBuf,
    records: Vec<Value>,
}

impl Show for Calls {
    fn text(&self) -> String {
        let mut table = table(["TIME", "USER", "SOURCE", "CALL", "RESULT"]);
        for record in &self.records {
            let text = |path: &str| record.pointer(path).and_then(Value::as_str).map(printable);
            table.add_row([
                text("/eventTime").unwrap_or_default(),
                text("/userIdentity/userName").unwrap_or_else(|| "-".to_owned()),
                text("/sourceIPAddress").unwrap_or_default(),
                text("/eventName").unwrap_or_default(),
                text("/errorCode").unwrap_or_else(|| "ok".to_owned()),
            ]);
        }
        match render(&table) {
            text if text.is_empty() => format!("no such calls in {}\n", self.path.display()),
            text => text,
        }
    }
}

/// Text without what a terminal would act on: some of it comes from callers.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "expected a number from 1".to_owned())
}

fn since(text: &str) -> Result<Timestamp, String> {
    before(text, Timestamp::now())
}

fn before(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    if let Ok(time) = text.parse::<Date>().and_then(|day| day.to_zoned(TimeZone::UTC)) {
        return Ok(time.timestamp());
    }
    let ago = text.parse::<Span>().ok().filter(|span| !span.is_negative());
    let time = ago.and_then(|ago| now.to_zoned(TimeZone::UTC).checked_sub(ago).ok());
    time.map(|time| time.timestamp()).ok_or_else(|| {
        "expected a time such as 2026-11-21T12:00:00Z, a day such as 2026-11-21, or 30m, 2h, 7d".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-11-20T08:00:00Z", "2026-11-20T08:00:00Z"),
            ("2026-11-20T08:00:00+02:00", "2026-11-20T06:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("90m", "2026-11-21T10:30:00Z"),
            ("2h", "2026-11-21T10:00:00Z"),
            ("7d", "2026-11-14T12:00:00Z"),
        ] {
            assert_eq!(before(text, now).map(|time| time.to_string()).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "yesterday", "-2h", "25:00", "99999999y"] {
            assert!(before(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn a_table_of_calls() {
        let records = vec![
            json!({
                "eventTime": "2026-11-21T12:00:00Z", "userIdentity": {"type": "IAMUser", "userName": "Alice"},
                "sourceIPAddress": "127.0.0.1", "eventName": "CreateListener", "errorCode": "DuplicateListener",
            }),
            json!({
                "eventTime": "2026-11-21T12:00:01Z", "userIdentity": {"type": "Unknown"}, "sourceIPAddress": "unix",
                "eventName": "Describe\u{1b}[31mTags",
            }),
        ];
        let expected = "\
TIME                  USER   SOURCE     CALL               RESULT
2026-11-21T12:00:00Z  Alice  127.0.0.1  CreateListener     DuplicateListener
2026-11-21T12:00:01Z  -      unix       Describe?[31mTags  ok
";
        let path = PathBuf::from("/s/audit.log");
        assert_eq!(Calls { path: path.clone(), records }.text(), expected);
        assert_eq!(Calls { path, records: Vec::new() }.text(), "no such calls in /s/audit.log\n");
    }
}
