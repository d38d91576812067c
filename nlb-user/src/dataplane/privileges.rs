//! What this process may do, and on which kernel.

use std::fs;

use super::DataplaneError;

/// The capabilities needed and their numbers (include/uapi/linux/capability.h). `CAP_SYS_ADMIN` stands for the first
/// two on every kernel.
const NEEDED: [(&str, u32); 3] = [("CAP_BPF", 39), ("CAP_PERFMON", 38), ("CAP_NET_ADMIN", 12)];
const SYS_ADMIN: u32 = 21;

/// Refuses early and in words what the kernel would refuse later with a number.
///
/// # Errors
/// If this process lacks capabilities, or the kernel is too old.
pub fn check() -> Result<(), DataplaneError> {
    let status =
        fs::read_to_string("/proc/self/status").map_err(|error| DataplaneError::io("read /proc/self/status", error))?;
    let missing = missing(&status);
    if !missing.is_empty() {
        return Err(DataplaneError::Privileges { missing: missing.join(", ") });
    }
    let kernel = kernel();
    if is_too_old(&kernel) { Err(DataplaneError::Kernel { found: kernel }) } else { Ok(()) }
}

/// Whether a kernel that names itself so is older than 6.1. One whose name can't be understood is given a try.
fn is_too_old(release: &str) -> bool {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map_while(|text| text.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) < (6, 1))
}

fn missing(status: &str) -> Vec<&'static str> {
    let held = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok());
    let held = held.unwrap_or_default();
    let has = |number: u32| held & (1 << number) != 0;
    let needed = NEEDED.iter().filter(|(name, number)| !has(*number) && (*name == "CAP_NET_ADMIN" || !has(SYS_ADMIN)));
    needed.map(|(name, _)| *name).collect()
}

/// The kernel's version, as it names itself.
pub fn kernel() -> String {
    nix::sys::utsname::uname().map_or_else(|_| "?".to_owned(), |name| name.release().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_before_6_1_are_too_old() {
        assert!(is_too_old("5.15.0-generic") && is_too_old("6.0.12"));
        assert!(!is_too_old("6.1.0-13-amd64") && !is_too_old("6.18.44") && !is_too_old("7.0-rc1") && !is_too_old("?"));
    }

    #[test]
    fn root_may_all_and_others_are_told_what_they_lack() {
        assert!(missing("Name:\tnlb\nCapEff:\t000001ffffffffff\n").is_empty());
        assert_eq!(missing("CapEff:\t0000000000000000\n"), ["CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN"]);
        assert_eq!(missing(&format!("CapEff:\t{:016x}\n", 1_u64 << 21)), ["CAP_NET_ADMIN"]);
        assert!(missing(&format!("CapEff:\t{:016x}\n", 1_u64 << 39 | 1 << 38 | 1 << 12)).is_empty());
    }
}
