//! What tests must not leave on the machine: network namespaces, BPF file systems, interfaces.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
    fs,
    path::Path,
};

/// How everything that tests and the demo make on a machine is called: this, and the maker's process id.
const PREFIX: &str = "nlb-";

/// Things of ours on this machine, each as a line for people.
pub struct Leftovers(BTreeSet<String>);

impl Leftovers {
    /// What is there now and whose maker is dead.
    pub fn find() -> Self {
        let names = |dir: &str| {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let namespaces = names("/run/netns").into_iter().map(|name| ("network namespace", name));
        let interfaces = names("/sys/class/net").into_iter().map(|name| ("interface", name));
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mounts = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (dir, kind) = (fields.next()?, fields.next()?);
            let name = dir.split('/').find(|part| part.starts_with(PREFIX))?;
            (kind == "bpf").then(|| ("BPF file system", (name.to_owned(), dir.to_owned())))
        });
        let mut found: BTreeSet<String> = namespaces
            .chain(interfaces)
            .filter(|(_, name)| abandoned(name))
            .map(|(kind, name)| format!("  {kind} {name}"))
            .collect();
        found.extend(mounts.filter(|(_, (name, _))| abandoned(name)).map(|(kind, (_, dir))| format!("  {kind} {dir}")));
        Self(found)
    }

    /// What was not there `before`.
    pub fn since(mut self, before: &Self) -> Self {
        self.0.retain(|thing| !before.0.contains(thing));
        self
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Display for Leftovers {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|thing| writeln!(f, "{thing}"))
    }
}

/// Whether a name is one of ours and the process in it has ended: others may be running tests of their own.
fn abandoned(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    let pid: String = rest.chars().take_while(char::is_ascii_digit).collect();
    !pid.is_empty() && !Path::new("/proc").join(pid).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_dead_processes_of_ours_made_is_abandoned() {
        let own = std::process::id();
        // Process ids end at 4194304 (PID_MAX_LIMIT).
        assert!(abandoned("nlb-4194305-balancer"));
        assert!(!abandoned(&format!("nlb-{own}-balancer")));
        assert!(!abandoned("nlb-demo-balancer"), "kept on purpose");
        assert!(!abandoned("eth0"));
    }

    #[test]
    fn what_was_there_before_is_not_held_against_the_tests() {
        let of = |things: &[&str]| Leftovers(things.iter().map(|thing| (*thing).to_owned()).collect());
        assert!(of(&["a"]).since(&of(&["a", "b"])).is_empty());
        assert_eq!(of(&["a", "c"]).since(&of(&["a"])).to_string(), "c\n");
    }
}
