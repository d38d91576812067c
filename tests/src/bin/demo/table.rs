//! What each target got.

use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use nlb_tests::client::Spread;

/// One row a target; for each title, how much and what share of all.
pub fn of<'a>(targets: impl Iterator<Item = &'a str>, columns: &[(&str, &Spread)]) -> String {
    let mut table = Table::new();
    table.load_preset(UTF8_FULL_CONDENSED);
    let titles = columns.iter().flat_map(|(title, _)| [*title, "share"]);
    table.set_header(std::iter::once("target").chain(titles));
    for target in targets {
        let cells = columns.iter().flat_map(|(_, spread)| {
            let count = spread.get(target).copied().unwrap_or_default();
            [thousands(count), share(count, spread)]
        });
        let cells = cells.map(|text| Cell::new(text).set_alignment(CellAlignment::Right));
        table.add_row(std::iter::once(Cell::new(target)).chain(cells));
    }
    indent(&table.to_string())
}

/// Text two columns further right.
pub fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// A number with separators.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The share of a count in all.
pub fn share(count: u64, spread: &Spread) -> String {
    format!("{:.1} %", 100.0 * count as f64 / spread.values().sum::<u64>().max(1) as f64)
}
