//! Who a connection belongs to, and how many connections each client has.

use core::net::{IpAddr, SocketAddr};
use heapless::index_map::FnvIndexMap;

/// The client that a connection counts for: an IPv4 address, an IPv6 /64, or nobody for the peers that are exempt from the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Client {
    /// Exactly 127.0.0.1, ::1 or a unix peer: local tools and proxies, which stand for many.
    Exempt,
    /// An IPv4 address (mapped ones too).
    V4(u32),
    /// The first 64 bits of an IPv6 address: one household.
    V6(u64),
}

impl Client {
    /// The client behind a peer's address.
    pub fn of(peer: SocketAddr) -> Client {
        match peer.ip().to_canonical() {
            IpAddr::V4(address) if address.octets() == [127, 0, 0, 1] => Client::Exempt,
            IpAddr::V4(address) => Client::V4(address.to_bits()),
            IpAddr::V6(address) if address.is_loopback() => Client::Exempt,
            IpAddr::V6(address) => Client::V6((address.to_bits() >> 64) as u64),
        }
    }

    /// A number for accounts of the back's time; for exempt peers the connection (`slot`) stands for itself.
    pub fn account(self, slot: u16) -> u64 {
        match self {
            Client::Exempt => u64::from(slot),
            Client::V4(address) => (1 << 32) | u64::from(address),
            // The top bit keeps a /64 apart from the numbers above.
            Client::V6(prefix) => (1 << 63) | prefix,
        }
    }
}

/// Open connections by client; `N` is a power of two that is larger than the number of connections.
#[derive(Debug, Default)]
pub struct ClientCounts<const N: usize> {
    counts: FnvIndexMap<Client, u16, N>,
    largest_ever: u16,
}

impl<const N: usize> ClientCounts<N> {
    /// Nobody connected.
    pub const fn new() -> ClientCounts<N> {
        ClientCounts { counts: FnvIndexMap::new(), largest_ever: 0 }
    }

    /// Counts a new connection; false when the client has `cap` of them already (or, which the size excludes, the table is full).
    pub fn enter(&mut self, client: Client, cap: usize) -> bool {
        if client == Client::Exempt {
            return true;
        }
        let count = self.counts.get(&client).map_or(1, |count| count + 1);
        if usize::from(count) > cap || self.counts.insert(client, count).is_err() {
            return false;
        }
        self.largest_ever = self.largest_ever.max(count);
        true
    }

    /// Counts a connection's end.
    pub fn leave(&mut self, client: Client) {
        if let Some(count) = self.counts.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&client);
            }
        }
    }

    /// How many connections a client has; those that are exempt are not counted.
    pub fn of(&self, client: Client) -> u16 {
        self.counts.get(&client).copied().unwrap_or(0)
    }

    /// The most connections that one client ever had.
    pub const fn largest_ever(&self) -> u16 {
        self.largest_ever
    }

    /// The most connections that one client has now.
    pub fn largest(&self) -> u16 {
        self.counts.values().copied().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_address_or_a_household() {
        let client = |text: &str| Client::of(text.parse().unwrap());
        assert_eq!(client("127.0.0.1:9"), Client::Exempt);
        assert_eq!(client("[::1]:9"), Client::Exempt);
        assert_eq!(client("[::ffff:127.0.0.1]:9"), Client::Exempt);
        assert_ne!(client("127.0.0.2:9"), Client::Exempt);
        assert_eq!(client("[2001:db8::1]:9"), client("[2001:db8::ffff]:80"));
        assert_ne!(client("[2001:db8::1]:9"), client("[2001:db8:0:1::1]:9"));
        assert_eq!(client("[::ffff:10.0.0.1]:9"), client("10.0.0.1:1"));
        assert_ne!(client("10.0.0.1:1").account(1), client("10.0.0.2:1").account(1));
        assert_ne!(Client::Exempt.account(1), Client::Exempt.account(2));
    }

    #[test]
    fn the_cap_is_met_exactly_and_every_leaving_makes_room() {
        let mut counts: ClientCounts<4> = ClientCounts::new();
        let client = Client::V4(7);
        assert!(counts.enter(client, 2) && counts.enter(client, 2) && !counts.enter(client, 2));
        assert!(counts.enter(Client::V4(8), 2));
        assert_eq!(
            (counts.of(client), counts.of(Client::V4(8)), counts.of(Client::V4(9)), counts.of(Client::Exempt)),
            (2, 1, 0, 0)
        );
        assert_eq!(counts.largest(), 2);
        counts.leave(client);
        assert!(counts.enter(client, 2) && !counts.enter(client, 2));
        for _ in 0..9 {
            assert!(counts.enter(Client::Exempt, 2));
        }
    }
}
