//! The verifier accepts the program, with less work than its budget allows.

use std::path::Path;

use aya::{
    Ebpf,
    programs::{Program, Xdp},
};
use nlb_tests::{golden::object, require_root};

#[test]
fn the_verifier_stays_within_its_budget() {
    require_root().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("verifier-budget.toml");
    let budgets: toml::Table = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    let mut ebpf = Ebpf::load(object()).unwrap();
    let names: Vec<String> = ebpf.programs().map(|(name, _)| name.to_owned()).collect();
    assert!(!names.is_empty(), "no program");
    for name in names {
        let budget = budgets.get(&name).and_then(toml::Value::as_integer);
        let budget = budget.unwrap_or_else(|| panic!("{name} has no budget in {}", file.display()));
        let program: &mut Program = ebpf.program_mut(&name).unwrap();
        let program: &mut Xdp = program.try_into().unwrap();
        program.load().unwrap_or_else(|error| panic!("{name}: {error:#?}"));
        let info = program.info().unwrap();
        let walked = i64::from(info.verified_instruction_count().unwrap());
        let translated = info.size_translated().unwrap_or_default() / 8;
        println!("{name}: {translated} instructions, {walked} walked by the verifier, of a budget of {budget}");
        assert!(walked <= budget, "{name}: the verifier walked {walked} instructions, the budget is {budget}");
    }
}
