//! Peers by their address: networks, and whose word counts.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::{Invalid, Place, Setting};

/// A network: `10.0.0.0/8`, `fd00::/8`, or one address.
///
/// Addresses of IPv4 that are written as IPv6 ones (`::ffff:10.0.0.1`) are those of IPv4, here and in the peers that
/// are compared with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    address: IpAddr,
    /// Leading bits that all its addresses share.
    length: u8,
}

const HINT: &str = "write a network such as 10.0.0.0/8 or fd00::/8, or an address";

impl Cidr {
    /// Whether the network has this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                share(32, self.length, network.to_bits().into(), address.to_bits().into())
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                share(128, self.length, network.to_bits(), address.to_bits())
            }
            _ => false,
        }
    }

    fn bits(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }

    /// The network without the bits beyond its length.
    fn masked(&self) -> Self {
        let address = match self.address {
            IpAddr::V4(address) => {
                let kept = u32::MAX.checked_shl(u32::from(32 - self.length)).unwrap_or(0);
                IpAddr::V4((address.to_bits() & kept).into())
            }
            IpAddr::V6(address) => {
                let kept = u128::MAX.checked_shl(u32::from(128 - self.length)).unwrap_or(0);
                IpAddr::V6((address.to_bits() & kept).into())
            }
        };
        Self { address, length: self.length }
    }
}

/// Whether two addresses of so many bits have the first `length` in common.
fn share(bits: u8, length: u8, one: u128, other: u128) -> bool {
    (one ^ other).checked_shr(u32::from(bits - length)).unwrap_or(0) == 0
}

impl FromStr for Cidr {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let mut address =
            address.parse::<IpAddr>().map_err(|_| Invalid::new("is no network or address", HINT))?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let mut length: u8 = match length {
            None => bits,
            Some(digits) => Some(digits)
                .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|digits| digits.parse().ok())
                .filter(|length| *length <= bits)
                .ok_or_else(|| Invalid::new("has no valid length", format!("write /0 to /{bits}")))?,
        };
        if let IpAddr::V6(long) = address
            && let Some(short) = long.to_ipv4_mapped()
        {
            // A shorter length takes in what is no address of IPv4.
            length = length
                .checked_sub(96)
                .ok_or_else(|| Invalid::new("mixes IPv4 and IPv6", "write the two networks apart"))?;
            address = IpAddr::V4(short);
        }
        let network = Self { address, length };
        let masked = network.masked();
        if masked != network {
            return Err(Invalid::new(
                "has bits set beyond its length",
                format!("write {masked} or {address}, whichever is meant"),
            ));
        }
        Ok(network)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        if self.length < self.bits() { write!(f, "/{}", self.length) } else { Ok(()) }
    }
}

/// Peers that are reverse proxies of the operator's own (`http.trusted-proxies`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrustedProxy {
    /// Peers with an address in this network.
    Network(Cidr),
    /// Peers on Unix sockets, which have no address.
    Unix,
}

impl TrustedProxy {
    /// Whether a peer with this address is one; `None` for a peer on a Unix socket.
    #[must_use]
    pub fn is(&self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Self::Network(network), Some(address)) => network.contains(address),
            (Self::Unix, None) => true,
            _ => false,
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.trim().eq_ignore_ascii_case("unix") {
            return Ok(Self::Unix);
        }
        text.parse().map(Self::Network).map_err(|flaw: Invalid| match text.contains(['.', ':', '/']) {
            true => flaw,
            false => {
                Invalid::new("is neither a network nor unix", format!("{HINT}, or unix for Unix sockets"))
            }
        })
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// Whose trace context and baggage are believed (`otel.trust-parent`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum TrustParent {
    /// Everybody's.
    #[default]
    On,
    /// Nobody's.
    Off,
    /// That of peers in these networks.
    Of(Vec<Cidr>),
}

impl TrustParent {
    /// Whether what this peer says counts; one on a unix socket has no address.
    #[must_use]
    pub fn believes(&self, peer: Option<IpAddr>) -> bool {
        match self {
            Self::On => true,
            Self::Off => false,
            Self::Of(networks) => {
                peer.is_some_and(|peer| networks.iter().any(|network| network.contains(peer)))
            }
        }
    }
}

impl Setting for TrustParent {
    const LIST: bool = true;

    fn read_all(texts: &[String], _: &Place<'_>) -> Result<Self, Vec<(String, Invalid)>> {
        let word = |text: &String| match text.trim().to_ascii_lowercase().as_str() {
            "on" | "true" => Some(Self::On),
            "off" | "false" => Some(Self::Off),
            _ => None,
        };
        if let [only] = texts
            && let Some(word) = word(only)
        {
            return Ok(word);
        }
        let (mut networks, mut flaws) = (Vec::new(), Vec::new());
        for text in texts {
            let read = match word(text) {
                Some(_) => Err(Invalid::new("does not go with others", "give it alone, or only networks")),
                None => text.parse::<Cidr>().map_err(|flaw| match text.contains(['.', ':', '/']) {
                    true => flaw,
                    false => Invalid::new("is neither on, off nor a network", HINT),
                }),
            };
            match read {
                Ok(network) => networks.push(network),
                Err(flaw) => flaws.push((format!("`{text}`"), flaw)),
            }
        }
        // An empty list names nobody.
        if flaws.is_empty() { Ok(Self::Of(networks)) } else { Err(flaws) }
    }

    fn show_all(&self) -> String {
        match self {
            Self::On => "on".to_owned(),
            Self::Off => "off".to_owned(),
            Self::Of(networks) if networks.is_empty() => "off".to_owned(),
            Self::Of(networks) => networks.iter().map(Cidr::to_string).collect::<Vec<_>>().join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::config::vars::Vars;

    fn has(network: &str, address: &str) -> bool {
        network.parse::<Cidr>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn networks_have_their_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.2"),
            ("10.0.0.1/32", "::ffff:10.0.0.1", "::ffff:10.0.0.3"),
            ("192.168.4.0/23", "192.168.5.255", "192.168.6.0"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "2001:db8::1", "127.0.0.1"),
            ("::1", "::1", "::2"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
        ] {
            assert!(has(network, inside), "{network} {inside}");
            assert!(!has(network, outside), "{network} {outside}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "::/129",
            "[::1]",
            "10.0.0.1:80",
            "10.0.0.1/8",
            "fd00::1/8",
            "::ffff:10.0.0.0/64",
            "example.com",
            "10.0.0.0/ 8",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
        let flaw = "10.1.2.3/8".parse::<Cidr>().unwrap_err();
        assert!(flaw.hint.contains("10.0.0.0/8"), "{flaw}");
    }

    #[test]
    fn proxies_are_networks_or_those_on_unix_sockets() {
        let (near, far) = (Some("10.1.2.3".parse().unwrap()), Some("192.0.2.1".parse().unwrap()));
        for (text, expected) in [
            ("10.0.0.0/8", [true, false, false]),
            ("unix", [false, false, true]),
            (" UNIX ", [false, false, true]),
        ] {
            let proxy: TrustedProxy = text.parse().unwrap();
            assert_eq!([near, far, None].map(|peer| proxy.is(peer)), expected, "{text}");
            assert_eq!(proxy.to_string().parse(), Ok(proxy));
        }
        for text in ["", "on", "unix:/run/p.sock", "10.0.0.1/8", "proxy.example"] {
            assert!(text.parse::<TrustedProxy>().is_err(), "{text}");
        }
    }

    fn trust(texts: &[&str]) -> Result<TrustParent, Vec<(String, Invalid)>> {
        let vars = Vars::default();
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        TrustParent::read_all(&texts, &Place { base: "".as_ref(), vars: &vars })
    }

    #[test]
    fn trust_is_a_word_or_networks() {
        assert_eq!(trust(&["On"]), Ok(TrustParent::On));
        assert_eq!(trust(&[" off "]), Ok(TrustParent::Off));
        let networks = TrustParent::Of(vec!["10.0.0.0/8".parse().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(trust(&["10.0.0.0/8", "::1"]), Ok(networks.clone()));
        assert_eq!(networks.show_all(), "10.0.0.0/8, ::1");
        assert_eq!(trust(&["on", "10.0.0.0/8", "nobody"]).unwrap_err().len(), 2);
    }

    #[test]
    fn a_peer_is_believed_by_its_address() {
        let (near, far) = (Some("::ffff:10.1.2.3".parse().unwrap()), Some("192.0.2.1".parse().unwrap()));
        let of = TrustParent::Of(vec!["10.0.0.0/8".parse().unwrap()]);
        for (trust, expected) in
            [(TrustParent::On, [true; 3]), (TrustParent::Off, [false; 3]), (of, [true, false, false])]
        {
            assert_eq!([near, far, None].map(|peer| trust.believes(peer)), expected, "{trust:?}");
        }
    }

    proptest! {
        #[test]
        fn a_network_has_exactly_what_starts_as_it_does(address: u128, other: u128, length in 0u8..=128) {
            let network = Cidr { address: Ipv6Addr::from_bits(address).into(), length }.masked();
            let other = Ipv6Addr::from_bits(other);
            prop_assume!(other.to_ipv4_mapped().is_none());
            let kept = |bits: u128| bits.checked_shr(u32::from(128 - length)).unwrap_or(0);
            prop_assert_eq!(network.contains(other.into()), kept(address) == kept(other.to_bits()));
            let near = Ipv6Addr::from_bits(address ^ (other.to_bits().checked_shr(u32::from(length)).unwrap_or(0)));
            prop_assume!(near.to_ipv4_mapped().is_none());
            prop_assert!(network.contains(near.into()));
        }

        #[test]
        fn networks_read_back(address: u32, length in 0u8..=32) {
            let network = Cidr { address: IpAddr::V4(address.into()), length }.masked();
            prop_assert_eq!(network.to_string().parse::<Cidr>(), Ok(network));
        }
    }
}
