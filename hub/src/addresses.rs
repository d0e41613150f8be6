//! Addresses that no target may have: nobody logs in there, and what answers gives secrets away (the
//! metadata service of a cloud) or is whoever happens to be on the same link.
//!
//! Checked when a target is stored, and again by the dialler for what its name resolves to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

const LINK_LOCAL: &str = "link-local";
const METADATA: &str = "the metadata service of a cloud";
const MULTICAST: &str = "multicast";
const UNSPECIFIED: &str = "unspecified";

/// Network, length of its prefix, what it is.
const REFUSED_V4: [(Ipv4Addr, u32, &str); 7] = [
    // RFC 1122: "this network". A connection to 0.0.0.0 is one to the hub itself.
    (Ipv4Addr::new(0, 0, 0, 0), 8, UNSPECIFIED),
    (Ipv4Addr::new(169, 254, 0, 0), 16, LINK_LOCAL),
    (Ipv4Addr::new(224, 0, 0, 0), 4, MULTICAST),
    (Ipv4Addr::BROADCAST, 32, "broadcast"),
    // Alibaba Cloud, Azure, Oracle Cloud: those outside 169.254.0.0/16.
    (Ipv4Addr::new(100, 100, 100, 200), 32, METADATA),
    (Ipv4Addr::new(168, 63, 129, 16), 32, METADATA),
    (Ipv4Addr::new(192, 0, 0, 192), 32, METADATA),
];

const REFUSED_V6: [(Ipv6Addr, u32, &str); 7] = [
    (Ipv6Addr::UNSPECIFIED, 128, UNSPECIFIED),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, LINK_LOCAL),
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, MULTICAST),
    // AWS with the credentials of its pods, Google Cloud, Oracle Cloud, Scaleway.
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32, METADATA),
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, METADATA),
    (Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128, METADATA),
    (Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42), 128, METADATA),
];

/// What the address is, when no target may have it; `None` when one may, or an exception lets it.
pub fn refused(address: IpAddr, exceptions: &[IpNetwork]) -> Option<&'static str> {
    let embedded = match address {
        IpAddr::V6(address) => embedded_ipv4(address).map(IpAddr::V4),
        IpAddr::V4(_) => None,
    };
    [Some(address), embedded].into_iter().flatten().find_map(|form| {
        let what = what_it_is(form)?;
        (!exceptions.iter().any(|exception| exception.contains(form))).then_some(what)
    })
}

/// Whether the address leads to this machine itself, in whichever form it is written.
pub fn is_loopback(address: IpAddr) -> bool {
    let embedded = match address {
        IpAddr::V6(address) => embedded_ipv4(address),
        IpAddr::V4(_) => None,
    };
    address.is_loopback() || embedded.is_some_and(|address| address.is_loopback())
}

/// One customer of an IPv6 provider has at least a /64: its addresses count as one.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address => address,
    }
}

/// Whether a host, as it stands in a URL, is this machine itself.
pub fn is_this_machine(host: &str) -> bool {
    let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || literal.is_ok_and(is_loopback)
}

/// Whether the network lies within one that is refused: only then is it of use as an exception, and
/// narrow enough to be one.
pub fn is_exception(network: IpNetwork) -> bool {
    let prefix = u32::from(network.prefix());
    match network.network() {
        IpAddr::V4(of) => {
            REFUSED_V4.iter().any(|(within, length, _)| prefix >= *length && is_in_v4(of, *within, *length))
        }
        IpAddr::V6(of) => {
            REFUSED_V6.iter().any(|(within, length, _)| prefix >= *length && is_in_v6(of, *within, *length))
        }
    }
}

fn what_it_is(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => REFUSED_V4
            .iter()
            .find(|(network, length, _)| is_in_v4(address, *network, *length))
            .map(|(_, _, what)| *what),
        IpAddr::V6(address) => REFUSED_V6
            .iter()
            .find(|(network, length, _)| is_in_v6(address, *network, *length))
            .map(|(_, _, what)| *what),
    }
}

/// `length` is 1 to 32.
fn is_in_v4(address: Ipv4Addr, network: Ipv4Addr, length: u32) -> bool {
    (address.to_bits() ^ network.to_bits()) >> (32 - length) == 0
}

/// `length` is 1 to 128.
fn is_in_v6(address: Ipv6Addr, network: Ipv6Addr, length: u32) -> bool {
    (address.to_bits() ^ network.to_bits()) >> (128 - length) == 0
}

/// The IPv4 address that an IPv6 address stands for: mapped and compatible ones (RFC 4291), translated ones
/// (RFC 2765), those of NAT64's well-known prefixes (RFC 6052, RFC 8215), 6to4 (RFC 3056), and ISATAP (RFC 5214).
fn embedded_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    if address.is_loopback() || address.is_unspecified() {
        return None;
    }
    let [high, low] = [6, 7].map(|part| address.segments()[part]);
    match address.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0x64, 0xff9b, 1, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, ..] => Some(joined(high, low)),
        [0x2002, high, low, ..] => Some(joined(high, low)),
        _ => None,
    }
}

fn joined(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_with(address: &str, exceptions: &[&str]) -> Option<&'static str> {
        let exceptions = exceptions.iter().map(|network| network.parse().unwrap()).collect::<Vec<_>>();
        refused(address.parse().unwrap(), &exceptions)
    }

    #[test]
    fn addresses_at_which_no_machine_is_logged_in_to_are_refused() {
        for (address, what) in [
            ("0.0.0.0", UNSPECIFIED),
            ("0.1.2.3", UNSPECIFIED),
            ("169.254.0.1", LINK_LOCAL),
            ("169.254.169.254", LINK_LOCAL),
            ("169.254.255.255", LINK_LOCAL),
            ("224.0.0.1", MULTICAST),
            ("239.255.255.255", MULTICAST),
            ("255.255.255.255", "broadcast"),
            ("168.63.129.16", METADATA),
            ("::", UNSPECIFIED),
            ("fe80::1", LINK_LOCAL),
            ("febf::1", LINK_LOCAL),
            ("ff02::1", MULTICAST),
            ("fd00:ec2::254", METADATA),
            ("fd00:ec2::23", METADATA),
            ("fd00:c1::a9fe:a9fe", METADATA),
            ("fd00:42::42", METADATA),
        ] {
            assert_eq!(refused_with(address, &[]), Some(what), "{address}");
        }
    }

    #[test]
    fn this_machine_is_known_in_every_form() {
        for address in ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1"] {
            assert!(is_loopback(address.parse().unwrap()), "{address}");
        }
        for address in ["128.0.0.1", "10.0.0.1", "::2", "2001:db8::1"] {
            assert!(!is_loopback(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn ipv6_does_not_get_around_it() {
        for address in [
            "::ffff:169.254.169.254",
            "::ffff:a9fe:a9fe",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "::ffff:0:169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "fd12:3456::5efe:169.254.169.254",
            "2001:db8::200:5efe:169.254.169.254",
            "::ffff:0.0.0.0",
            "::ffff:224.0.0.1",
            "::ffff:255.255.255.255",
        ] {
            assert!(refused_with(address, &[]).is_some(), "{address}");
        }
    }

    #[test]
    fn loopback_private_and_public_addresses_are_as_they_were() {
        for address in [
            "127.0.0.1",
            "::1",
            "::ffff:127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.253.0.1",
            "169.255.0.1",
            "1.1.1.1",
            "223.255.255.255",
            "240.0.0.1",
            "fec0::1",
            "fd00::1",
            "2001:db8::1",
            "64:ff9b::10.0.0.1",
        ] {
            assert_eq!(refused_with(address, &[]), None, "{address}");
        }
    }

    #[test]
    fn an_exception_holds_for_its_network_alone() {
        let exceptions = ["169.254.10.0/24", "fe80::/64"];
        for (address, is_refused) in [
            ("169.254.10.7", false),
            ("::ffff:169.254.10.7", false),
            ("169.254.11.7", true),
            ("169.254.169.254", true),
            ("fe80::7", false),
            ("fe80:0:0:1::7", true),
        ] {
            assert_eq!(refused_with(address, &exceptions).is_some(), is_refused, "{address}");
        }
    }

    #[test]
    fn an_exception_is_within_what_is_refused() {
        for (network, good) in [
            ("169.254.0.0/16", true),
            ("169.254.169.254/32", true),
            ("fe80::/10", true),
            ("0.0.0.0/32", true),
            ("0.0.0.0/0", false),
            ("169.0.0.0/8", false),
            ("10.0.0.0/8", false),
            ("::/0", false),
            ("fe00::/8", false),
        ] {
            assert_eq!(is_exception(network.parse().unwrap()), good, "{network}");
        }
    }

    #[test]
    fn addresses_of_one_ipv6_network_count_as_one() {
        let parse = |text: &str| network_of(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:1"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_ne!(parse("192.0.2.1"), parse("192.0.2.2"));
        assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
    }
}
