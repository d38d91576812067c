//! How answers are printed: tables of at most 100 columns for people, JSON for programs.

use std::io::{self, Write as _};

use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use serde::Serialize;

/// The widest line of a table. A cell that does not fit is wrapped.
pub const WIDTH: u16 = 100;

/// How to print.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Tables
    #[default]
    Table,
    /// One JSON value
    Json,
}

/// What a command has to say.
pub trait Show: Serialize {
    /// The text for people, with its final newline.
    fn text(&self) -> String;
}

/// Where answers go.
pub struct Output {
    format: Format,
}

impl Output {
    /// Prints on standard output, in this format.
    pub const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether programs are reading.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints an answer.
    ///
    /// # Errors
    /// If it cannot be written; [`io::ErrorKind::BrokenPipe`] if the reader has had enough.
    pub fn show(&self, answer: &impl Show) -> Result<()> {
        let text = match self.format {
            Format::Table => answer.text(),
            Format::Json => serde_json::to_string_pretty(answer)? + "\n",
        };
        print(&text)?;
        Ok(())
    }
}

/// Writes to standard output. Not `print!`, which panics when the reader has gone away.
///
/// # Errors
/// As writing does.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A table with these headings.
pub fn table<const N: usize>(headings: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    table.set_header(headings);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// A table whose first `names` columns hold names, which are copied and pasted: others are wrapped in their place.
pub fn table_of_names<const N: usize>(names: usize, headings: [&str; N]) -> Table {
    let mut table = table(headings);
    for column in table.column_iter_mut().take(names) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    table
}

/// The table as text, without the blanks at the ends of lines. Nothing if it has no row.
pub fn render(table: &Table) -> String {
    if table.row_count() == 0 {
        return String::new();
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A number of bytes, packets or flows with its thousands set apart: `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time span for people: `0.4s`, `59s`, `12m05s`, `3h07m`, `2d04h`.
pub fn span(nanoseconds: u64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    match seconds {
        0..10 => format!("{}.{}s", seconds, nanoseconds / 100_000_000 % 10),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// An Ethernet address: `02:00:00:00:00:01`.
pub fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_end_without_blanks() {
        let mut table = table(["NAME", "STATE"]);
        table.add_row(["web", "active"]);
        table.add_row(["a-longer-name", ""]);
        assert_eq!(render(&table), "NAME           STATE\nweb            active\na-longer-name\n");
    }

    #[test]
    fn tables_fit_their_width() {
        let mut table = table(["CLIENT", "VIP", "TARGET"]);
        let endpoint = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535";
        table.add_row([endpoint; 3]);
        assert!(render(&table).lines().all(|line| line.len() <= usize::from(WIDTH)), "{}", render(&table));
    }

    #[test]
    fn names_are_not_wrapped() {
        let mut table = table_of_names(2, ["KIND", "ID", "WHAT IT IS"]);
        let arn = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012";
        table.add_row(["certificate", arn, "certificate_file=/etc/nlb/a.pem"]);
        let text = render(&table);
        assert!(text.contains(&format!("certificate  {arn}  ")), "{text}");
    }

    #[test]
    fn a_table_without_rows_is_not_printed() {
        assert_eq!(render(&table(["NAME"])), "");
    }

    #[test]
    fn numbers_and_spans() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let second = 1_000_000_000;
        let spans = [0, second * 3 / 2, 59 * second, 725 * second, 11_220 * second, 187_200 * second].map(span);
        assert_eq!(spans, ["0.0s", "1.5s", "59s", "12m05s", "3h07m", "2d04h"]);
    }
}
