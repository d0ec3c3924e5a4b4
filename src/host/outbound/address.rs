//! Which addresses are public, and what the others are.
//!
//! Pure. A guest that may call "any host" must not reach the machine it runs on,
//! the network behind it or the cloud's metadata service, so only addresses that
//! are globally reachable count as public. For IPv6 that is a list of what is
//! public (2000::/3 less its exceptions): what is assigned later stays closed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why an address isn't public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    /// 0.0.0.0/8 and `::`; Linux connects them to the machine itself.
    Unspecified,
    /// 127.0.0.0/8 and `::1`.
    Loopback,
    /// RFC 1918, and the unique local and site-local ranges of IPv6.
    Private,
    /// 100.64.0.0/10: carrier-grade NAT, and the inside of several clouds.
    Shared,
    /// 169.254.0.0/16 and fe80::/10; home of most metadata services.
    LinkLocal,
    /// Metadata services at addresses that look public.
    Metadata,
    /// 224.0.0.0/4 and ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// An IPv4 address in an IPv6 one (mapped, compatible, 6to4, Teredo, local NAT64):
    /// where the packet ends up is not what the address says.
    Embedded,
    /// Documentation, benchmarking, protocol assignments, not yet assigned.
    Reserved,
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "a shared (carrier NAT) address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud metadata address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "the broadcast address",
            Self::Embedded => "an IPv4 address wrapped in an IPv6 one",
            Self::Reserved => "a reserved address",
        })
    }
}

/// What is special about `ip`; `None` for a public address.
pub(super) fn special(ip: IpAddr) -> Option<Special> {
    match ip {
        IpAddr::V4(ip) => special_v4(ip),
        IpAddr::V6(ip) => special_v6(ip),
    }
}

fn special_v4(ip: Ipv4Addr) -> Option<Special> {
    match ip.octets() {
        [0, ..] => Some(Special::Unspecified),
        [127, ..] => Some(Special::Loopback),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some(Special::Private),
        // Alibaba's, in what is shared otherwise.
        [100, 100, 100, 200] => Some(Special::Metadata),
        [100, 64..=127, ..] => Some(Special::Shared),
        [169, 254, ..] => Some(Special::LinkLocal),
        // Azure's WireServer: agent configuration and certificates, from a public range.
        [168, 63, 129, 16] => Some(Special::Metadata),
        // Oracle's older metadata address; the rest of the /24 is protocol assignments.
        [192, 0, 0, 192] => Some(Special::Metadata),
        [192, 0, 0, _] => Some(Special::Reserved),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Some(Special::Reserved),
        [192, 88, 99, _] => Some(Special::Embedded),
        [198, 18..=19, ..] => Some(Special::Reserved),
        [224..=239, ..] => Some(Special::Multicast),
        [255, 255, 255, 255] => Some(Special::Broadcast),
        [240..=255, ..] => Some(Special::Reserved),
        _ => None,
    }
}

fn special_v6(ip: Ipv6Addr) -> Option<Special> {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Special::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Special::Loopback),
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0, 0xffff, ..] => Some(Special::Embedded),
        // The well-known NAT64 prefix is what every public IPv4 host looks like behind
        // DNS64, so here the address inside decides: `*` has to work on such a network.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            special_v4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        [0x64, 0xff9b, 1, ..] => Some(Special::Embedded),
        [0xfe80..=0xfebf, ..] => Some(Special::LinkLocal),
        // Amazon's, in what is private otherwise.
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Some(Special::Metadata),
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Some(Special::Private),
        [0xff00..=0xffff, ..] => Some(Special::Multicast),
        [0x2001, 0, ..] | [0x2002, ..] => Some(Special::Embedded),
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] => Some(Special::Reserved),
        [0x3fff, 0..=0xfff, ..] => Some(Special::Reserved),
        [0x2000..=0x3fff, ..] => None,
        _ => Some(Special::Reserved),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> Option<Special> {
        special(text.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_public() {
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2001:200::1",
            "2620:4f:8000::1",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(of(ip), None, "{ip}");
        }
    }

    #[test]
    fn each_special_range_is_named() {
        for (ip, expected) in [
            ("0.0.0.0", Special::Unspecified),
            ("0.1.2.3", Special::Unspecified),
            ("::", Special::Unspecified),
            ("127.0.0.1", Special::Loopback),
            ("127.255.255.254", Special::Loopback),
            ("::1", Special::Loopback),
            ("10.0.0.1", Special::Private),
            ("172.16.0.1", Special::Private),
            ("172.31.255.255", Special::Private),
            ("192.168.1.1", Special::Private),
            ("fd00:ec2::254", Special::Metadata),
            ("fc00::1", Special::Private),
            ("fec0::1", Special::Private),
            ("100.64.0.1", Special::Shared),
            ("100.100.100.200", Special::Metadata),
            ("100.127.255.255", Special::Shared),
            ("169.254.169.254", Special::LinkLocal),
            ("fe80::1", Special::LinkLocal),
            ("febf::1", Special::LinkLocal),
            ("168.63.129.16", Special::Metadata),
            ("192.0.0.192", Special::Metadata),
            ("224.0.0.1", Special::Multicast),
            ("239.255.255.255", Special::Multicast),
            ("ff02::1", Special::Multicast),
            ("255.255.255.255", Special::Broadcast),
            ("::ffff:127.0.0.1", Special::Embedded),
            ("::ffff:8.8.8.8", Special::Embedded),
            ("::8.8.8.8", Special::Embedded),
            ("2002:7f00:1::", Special::Embedded),
            ("2001:0:4136:e378::1", Special::Embedded),
            ("64:ff9b:1::1", Special::Embedded),
            ("192.88.99.1", Special::Embedded),
            ("64:ff9b::127.0.0.1", Special::Loopback),
            ("64:ff9b::169.254.169.254", Special::LinkLocal),
            ("192.0.0.8", Special::Reserved),
            ("192.0.2.1", Special::Reserved),
            ("198.18.0.1", Special::Reserved),
            ("198.51.100.7", Special::Reserved),
            ("203.0.113.7", Special::Reserved),
            ("240.0.0.1", Special::Reserved),
            ("2001:db8::1", Special::Reserved),
            ("2001:2::1", Special::Reserved),
            ("2001:20::1", Special::Reserved),
            ("3fff::1", Special::Reserved),
            ("100::1", Special::Reserved),
            ("5f00::1", Special::Reserved),
            ("4000::1", Special::Reserved),
        ] {
            assert_eq!(of(ip), Some(expected), "{ip}");
        }
    }

    /// The ranges once more, as the registries write them.
    const CLOSED: &[(&str, u32)] = &[
        ("0.0.0.0", 8),
        ("10.0.0.0", 8),
        ("100.64.0.0", 10),
        ("127.0.0.0", 8),
        ("169.254.0.0", 16),
        ("172.16.0.0", 12),
        ("192.0.0.0", 24),
        ("192.0.2.0", 24),
        ("192.88.99.0", 24),
        ("192.168.0.0", 16),
        ("198.18.0.0", 15),
        ("198.51.100.0", 24),
        ("203.0.113.0", 24),
        ("224.0.0.0", 4),
        ("240.0.0.0", 4),
        ("168.63.129.16", 32),
    ];

    fn in_range(ip: Ipv4Addr, (net, length): (&str, u32)) -> bool {
        let net: Ipv4Addr = net.parse().unwrap();
        let mask = u32::MAX << (32 - length);
        ip.to_bits() & mask == net.to_bits() & mask
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn v4_agrees_with_the_registry(bits: u32) {
            let ip = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(special(ip.into()).is_some(), CLOSED.iter().any(|r| in_range(ip, *r)));
        }

        #[test]
        fn every_address_of_a_closed_range_is_closed(range in 0..CLOSED.len(), bits: u32) {
            let (net, length) = CLOSED[range];
            let net: Ipv4Addr = net.parse().unwrap();
            let host = u32::MAX.checked_shr(length).unwrap_or(0);
            let ip = Ipv4Addr::from_bits(net.to_bits() | (bits & host));
            prop_assert!(special(ip.into()).is_some());
        }

        #[test]
        fn no_wrapping_makes_an_address_public(bits: u32, rest: u64) {
            let ip = Ipv4Addr::from_bits(bits);
            prop_assert!(special(ip.to_ipv6_mapped().into()).is_some());
            prop_assert!(special(Ipv6Addr::from_bits(bits.into()).into()).is_some());
            let six_to_four = 0x2002_u128 << 112 | u128::from(bits) << 80 | u128::from(rest);
            prop_assert!(special(Ipv6Addr::from_bits(six_to_four).into()).is_some());
            let nat64 = 0x0064_ff9b_u128 << 96 | u128::from(bits);
            prop_assert_eq!(special(Ipv6Addr::from_bits(nat64).into()), special(ip.into()));
        }

        #[test]
        fn public_v6_is_global_unicast_or_nat64(bits: u128) {
            let ip = Ipv6Addr::from_bits(bits);
            if special(ip.into()).is_none() {
                prop_assert!(bits >> 125 == 1 || bits >> 32 == 0x0064_ff9b_u128 << 64);
            }
        }
    }
}
