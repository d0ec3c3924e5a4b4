//! What counts as one client, for limits that each has for itself: an address of IPv4, a network of IPv6.

use std::net::{IpAddr, Ipv6Addr};

/// Bits of an address of IPv6 that one client has for itself.
const V6_BITS: u32 = 64;

/// The address of IPv4, or the first of the network.
pub(super) fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - V6_BITS))).into(),
        address => address,
    }
}

/// A client as a number that no two clients have in common, and that is not 0.
pub(super) fn key(client: IpAddr) -> u64 {
    /// Begins the addresses of groups, from which nothing comes.
    const V4: u64 = 0xffff_ffff << 32;
    match client.to_canonical() {
        IpAddr::V4(address) => V4 | u64::from(address.to_bits()),
        IpAddr::V6(address) => ((address.to_bits() >> (128 - V6_BITS)) as u64).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_clients_apart() {
        let key = |text: &str| key(text.parse().unwrap());
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::2"));
        let all = ["192.0.2.1", "0.0.0.0", "::1", "2001:db8::1", "::c000:201:0:0:0:1"].map(key);
        let different: std::collections::BTreeSet<_> = all.into_iter().collect();
        assert!(different.len() == all.len() && !all.contains(&0), "{all:?}");
    }
}
