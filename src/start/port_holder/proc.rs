//! Sockets, processes and addresses as Linux's /proc shows them. Parsing is apart from reading, for the tests.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Holder;

/// `TCP_LISTEN` in /proc/net/tcp.
const LISTEN: &str = "0A";

/// The process that listens on `address`, or on all addresses with the same port. None where we may not see it.
pub(super) fn holder_of_tcp(address: SocketAddr) -> Option<Holder> {
    // A v6 socket may take v4's connections too, so both tables count for each address.
    let inodes: Vec<u64> =
        ["/proc/net/tcp", "/proc/net/tcp6"].iter().flat_map(|table| listeners(lines(table), address)).collect();
    holder(&inodes)
}

/// The process that has bound the Unix socket at `path`.
pub(super) fn holder_of_unix(path: &str) -> Option<Holder> {
    holder(&bound_at(lines("/proc/net/unix"), path))
}

/// A table line by line: on a busy machine the whole of it is larger than our heap.
fn lines(table: &str) -> impl Iterator<Item = String> {
    fs::File::open(table).into_iter().flat_map(|table| BufReader::new(table).lines().map_while(Result::ok))
}

/// The inodes of the listening sockets in `table` that stand in the way of `address`.
fn listeners(table: impl Iterator<Item = impl AsRef<str>>, address: SocketAddr) -> Vec<u64> {
    let in_the_way = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().take(10).collect();
        let [_, local, _, state, _, _, _, _, _, inode] = fields.as_slice() else {
            return None;
        };
        let local = socket_address(local)?;
        let same = local.ip() == address.ip() || local.ip().is_unspecified() || address.ip().is_unspecified();
        (*state == LISTEN && local.port() == address.port() && same).then(|| inode.parse().ok()).flatten()
    };
    table.skip(1).filter_map(|line| in_the_way(line.as_ref())).collect()
}

/// `0100007F:1F90`: 32-bit words of the address in the machine's order, and the port.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(ip.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(at)?);
            }
            // ::ffff:127.0.0.1 and 127.0.0.1 are one address to whoever wants to bind it.
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The inodes of the sockets bound at `path` in /proc/net/unix: the seventh field, the path follows and may hold spaces.
fn bound_at(table: impl Iterator<Item = impl AsRef<str>>, path: &str) -> Vec<u64> {
    let bound = |line: &str| {
        let mut rest = line;
        let mut inode = "";
        for _ in 0..7 {
            rest = rest.trim_start();
            (inode, rest) = rest.split_once(' ')?;
        }
        (rest.trim_start() == path).then(|| inode.parse().ok()).flatten()
    };
    table.skip(1).filter_map(|line| bound(line.as_ref())).collect()
}

/// The first process that holds one of the sockets, among those whose descriptors we may list.
fn holder(inodes: &[u64]) -> Option<Holder> {
    if inodes.is_empty() {
        return None;
    }
    let links: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    fs::read_dir("/proc").ok()?.filter_map(Result::ok).find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let holds = fs::read_dir(process.path().join("fd")).ok()?.filter_map(Result::ok).any(|descriptor| {
            let link = fs::read_link(descriptor.path());
            link.is_ok_and(|link| links.iter().any(|wanted| link.as_os_str() == wanted.as_str()))
        });
        if !holds {
            return None;
        }
        let comm = fs::read_to_string(process.path().join("comm")).ok()?;
        // A process may name itself as it likes, terminal controls included.
        Some(Holder { comm: comm.trim_end().escape_debug().to_string(), pid })
    })
}

/// This machine's addresses, IPv4 first.
pub(super) fn local_addresses() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let mut addresses: Vec<IpAddr> = local_v4(&v4).into_iter().map(IpAddr::V4).collect();
    addresses.extend(local_v6(&v6).into_iter().map(IpAddr::V6));
    addresses
}

/// The leaves of the routing trie that are marked `/32 host LOCAL`. It is printed once for each table: each address once.
fn local_v4(trie: &str) -> Vec<Ipv4Addr> {
    let mut addresses = Vec::new();
    let mut leaf = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = leaf
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

/// The first field of /proc/net/if_inet6, without link-local addresses: those need a zone to be listened on.
fn local_v6(table: &str) -> Vec<Ipv6Addr> {
    let address = |line: &str| {
        let digits = line.split_ascii_whitespace().next().filter(|digits| digits.len() == 32)?;
        u128::from_str_radix(digits, 16).ok().map(Ipv6Addr::from).filter(|ip| !ip.is_unicast_link_local())
    };
    table.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a little-endian machine shows it.
    #[cfg(target_endian = "little")]
    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0000000000000000 100 0 0 10 0
   1: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F92 0100007F:DCA0 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0000000000000000 20 4 30 10 -1
   3: broken
";

    #[cfg(target_endian = "little")]
    const TCP6: &str = "\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 444 1 0 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:1F93 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 555 1 0 100 0 0 10 0
";

    #[cfg(target_endian = "little")]
    #[test]
    fn listeners_in_the_way_are_found_in_both_tables() {
        let cases: [(&str, &str, &[u64]); 9] = [
            (TCP, "127.0.0.1:8080", &[111]),
            (TCP, "0.0.0.0:8080", &[111]),
            (TCP, "192.168.1.5:8080", &[]),
            (TCP, "192.168.1.5:8081", &[222]),
            // Connected, not listening.
            (TCP, "127.0.0.1:8082", &[]),
            (TCP, "[::]:8080", &[111]),
            (TCP6, "[::1]:8080", &[444]),
            (TCP6, "127.0.0.1:8083", &[555]),
            (TCP6, "127.0.0.1:8080", &[]),
        ];
        for (table, address, inodes) in cases {
            assert_eq!(listeners(table.lines(), address.parse().expect("an address")), inodes, "{address}");
        }
    }

    #[test]
    fn a_unix_socket_is_found_by_its_path() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            00000000bf84462f: 00000003 00000000 00000000 0001 03  1528\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 24021 /run/my sock\n";
        assert_eq!(bound_at(table.lines(), "/run/my sock"), [24021]);
        assert!(bound_at(table.lines(), "/run/my").is_empty());
        assert!(bound_at(table.lines(), "").is_empty());
    }

    #[test]
    fn local_addresses_are_read_from_the_trie() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.0\n        /8 host LOCAL\n     |-- 127.0.0.1\n        \
            /32 host LOCAL\n     |-- 192.168.1.5\n        /32 host LOCAL\n     |-- 192.168.1.255\n        \
            /32 link BROADCAST\nLocal:\n     |-- 192.168.1.5\n        /32 host LOCAL\n";
        assert_eq!(local_v4(trie), [Ipv4Addr::LOCALHOST, Ipv4Addr::new(192, 168, 1, 5)]);
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n\
            fd000000000000000000000000000002 04 40 00 82     eth0\n\
            fe8000000000000000fc00fffe000001 04 40 20 80     eth0\nodd\n";
        assert_eq!(local_v6(table), ["::1".parse::<Ipv6Addr>().expect("v6"), "fd00::2".parse().expect("v6")]);
        assert!(local_addresses().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
