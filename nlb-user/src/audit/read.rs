//! Reads the audit log back.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde_json::Value;

use super::writer::older;

/// Which records are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// How many, the newest ones.
    pub limit: usize,
    /// Only of this operation.
    pub name: Option<String>,
    /// Only of calls that were refused.
    pub errors: bool,
    /// Only of calls since then.
    pub since: Option<Timestamp>,
}

/// What was found.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Reading {
    /// Records, the newest one last.
    pub records: Vec<Value>,
    /// Lines that are no records.
    pub unreadable: u64,
}

/// Why the log could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}; run it as the user who runs the controller, root as a rule", path.display())]
pub struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// Reads the log at `path` and its older files. A log that is not there has no records.
///
/// # Errors
/// If a file cannot be read.
pub fn read(path: &Path, filter: &Filter) -> Result<Reading, ReadError> {
    let mut reading = Reading::default();
    let mut newest_last = VecDeque::new();
    let mut seen = Vec::new();
    for number in 0.. {
        let path = if number == 0 { path.to_owned() } else { older(path, number) };
        let failed = |source| ReadError { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            // A new current file is made only when there is a record for it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && number == 0 => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(failed(error)),
        };
        // Files may have been renamed since the last one was opened: none is read twice.
        let inode = file.metadata().map_err(failed)?.ino();
        if seen.contains(&inode) {
            continue;
        }
        seen.push(inode);
        let wanted = filter.limit - newest_last.len();
        let before = scan(file, filter, wanted, &mut newest_last, &mut reading.unreadable).map_err(failed)?;
        if newest_last.len() >= filter.limit || before {
            break;
        }
    }
    reading.records = newest_last.into();
    Ok(reading)
}

/// Puts the newest `wanted` records of a file before those that are already there. Whether it has some from before the
/// time that is asked for: then older files need not be read.
fn scan(
    file: File,
    filter: &Filter,
    wanted: usize,
    records: &mut VecDeque<Value>,
    unreadable: &mut u64,
) -> io::Result<bool> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut found = VecDeque::new();
    let mut before = false;
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let Ok(record @ Value::Object(_)) = serde_json::from_slice::<Value>(&line) else {
            // The last line may be in the middle of being written.
            *unreadable += u64::from(line.ends_with(b"\n"));
            continue;
        };
        let time = record["eventTime"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        if filter.since.is_some_and(|since| time.is_some_and(|time| time < since)) {
            before = true;
            continue;
        }
        let named = filter.name.as_ref().is_none_or(|name| record["eventName"].as_str() == Some(name));
        if !named || (filter.errors && record["errorCode"].is_null()) {
            continue;
        }
        found.push_back(record);
        if found.len() > wanted {
            found.pop_front();
        }
    }
    while let Some(record) = found.pop_back() {
        records.push_front(record);
    }
    Ok(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn line(second: u32, name: &str, error: Option<&str>) -> String {
        let error = error.map_or_else(String::new, |code| format!(r#","errorCode":"{code}""#));
        format!("{{\"eventTime\":\"2026-01-01T00:00:{second:02}Z\",\"eventName\":\"{name}\"{error}}}\n")
    }

    fn seconds(path: &Path, filter: Filter) -> Vec<String> {
        let reading = read(path, &filter).unwrap();
        reading.records.iter().map(|record| record["eventTime"].as_str().unwrap()[17..19].to_owned()).collect()
    }

    #[test]
    fn the_newest_come_last_from_all_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        assert_eq!(seconds(&path, Filter { limit: 5, ..Filter::default() }), [] as [&str; 0]);
        fs::write(older(&path, 2), line(1, "A", None) + &line(2, "B", Some("X"))).unwrap();
        fs::write(older(&path, 1), line(3, "A", Some("Y")) + "damaged\n" + &line(4, "B", None)).unwrap();
        assert_eq!(seconds(&path, Filter { limit: 5, ..Filter::default() }), ["01", "02", "03", "04"]);
        fs::write(&path, line(5, "A", None) + "{\"eventTi").unwrap();
        assert_eq!(seconds(&path, Filter { limit: 9, ..Filter::default() }), ["01", "02", "03", "04", "05"]);
        assert_eq!(seconds(&path, Filter { limit: 2, ..Filter::default() }), ["04", "05"]);
        assert_eq!(seconds(&path, Filter { limit: 2, name: Some("A".into()), ..Filter::default() }), ["03", "05"]);
        assert_eq!(seconds(&path, Filter { limit: 9, errors: true, ..Filter::default() }), ["02", "03"]);
        let since = Some("2026-01-01T00:00:04Z".parse().unwrap());
        assert_eq!(seconds(&path, Filter { limit: 9, since, ..Filter::default() }), ["04", "05"]);
        assert_eq!(read(&path, &Filter { limit: 9, ..Filter::default() }).unwrap().unreadable, 1);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = read(dir.path(), &Filter { limit: 1, ..Filter::default() }).unwrap_err();
        assert!(error.to_string().contains("cannot read"), "{error}");
    }
}
