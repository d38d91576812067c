//! The `nlb` command.

fn main() {}
