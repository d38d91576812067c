//! Ports that the host uses itself: source translation keeps clear of them.

use std::{fs, io};

use nlb_common::layout::{FIRST_SNAT_PORT, PORT_WORDS};

/// A bit for each port.
pub type PortSet = [u64; PORT_WORDS];

/// The local ports of all sockets in the caller's network namespace, from the first that source translation uses.
///
/// # Errors
/// If `/proc/net/tcp` can't be read. A host without IPv6 has no `/proc/net/tcp6`.
pub fn in_use() -> io::Result<PortSet> {
    let mut ports = [0; PORT_WORDS];
    for file in ["tcp", "tcp6", "udp", "udp6"] {
        // `thread-self`, as a thread may be in a namespace of its own.
        match fs::read_to_string(format!("/proc/thread-self/net/{file}")) {
            Ok(text) => mark(&text, &mut ports),
            Err(error) if file.ends_with('6') && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ports)
}

/// Marks the ports in the second column, `local_address`: an address and a port in hexadecimal.
fn mark(text: &str, ports: &mut PortSet) {
    let local = |line: &str| u16::from_str_radix(line.split_whitespace().nth(1)?.rsplit_once(':')?.1, 16).ok();
    for port in text.lines().skip(1).filter_map(local).filter(|port| *port >= FIRST_SNAT_PORT) {
        ports[usize::from(port / 64)] |= 1 << (port % 64);
    }
}

/// Whether `port` is in the set.
pub const fn contains(ports: &PortSet, port: u16) -> bool {
    ports[port as usize / 64] & (1 << (port % 64)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn lines_of_both_families_are_understood() {
        let mut ports = [0; PORT_WORDS];
        mark(
            "  sl  local_address rem_address   st\n\
             0: 0100007F:1F90 00000000:0000 0A\n\
             1: 00000000000000000000000001000000:FFFF 00000000000000000000000000000000:0000 0A\n\
             2: 00000000:0016 00000000:0000 0A\n",
            &mut ports,
        );
        assert!(contains(&ports, 8080) && contains(&ports, 65535));
        assert!(!contains(&ports, 22), "source translation does not use it anyway");
        assert_eq!(ports.iter().map(|word| word.count_ones()).sum::<u32>(), 2);
    }

    #[test]
    fn the_hosts_own_sockets_are_seen() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let ports = in_use().unwrap();
        assert!(contains(&ports, tcp.local_addr().unwrap().port()));
        assert!(contains(&ports, udp.local_addr().unwrap().port()));
    }
}
