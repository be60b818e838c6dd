//! Which addresses outbound HTTP may connect to. Pure.
//!
//! What decides is the address that is connected to, never how somebody wrote it: decimal, octal
//! and hexadecimal hosts have become addresses before they come here.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::collections::BTreeSet;

/// A block of addresses: those that share the first `bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    base: IpAddr,
    bits: u8,
}

impl Block {
    fn holds(self, address: IpAddr) -> bool {
        let (base, address, width) = match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                (u128::from(base.to_bits()), u128::from(address.to_bits()), 32)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
            _ => return false,
        };
        let other_bits = width - u32::from(self.bits);
        other_bits >= 128 || base >> other_bits == address >> other_bits
    }

    fn parse(text: &str) -> Option<Self> {
        let (base, bits) = text.split_once('/')?;
        let (base, bits): (IpAddr, u8) = (base.parse().ok()?, bits.parse().ok()?);
        let most = if base.is_ipv4() { 32 } else { 128 };
        (bits <= most).then_some(Self { base, bits })
    }
}

/// What may be reached although it is not on the public internet: exact hosts with their ports,
/// also by plain HTTP, and blocks of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Allow {
    hosts: BTreeSet<(String, u16)>,
    blocks: Vec<Block>,
}

impl Allow {
    /// Reads `relay.local:8080`, `[fd00::1]:443` and `10.20.0.0/16`.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, String> {
        let mut allow = Self::default();
        for text in texts {
            if let Some(block) = Block::parse(text) {
                allow.blocks.push(block);
                continue;
            }
            let wrong = || {
                format!(
                    "`{text}` is neither host:port, such as relay.local:8080, nor a block, such as 10.20.0.0/16"
                )
            };
            let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
            let port = port.parse::<u16>().map_err(|_| wrong())?;
            if host.is_empty() || host.contains(['/', '*', '@']) || port == 0 {
                return Err(wrong());
            }
            allow.hosts.insert((host.to_ascii_lowercase(), port));
        }
        Ok(allow)
    }

    /// Whether exactly this host and port is listed. A host is as a parsed URL has it.
    pub(crate) fn names(&self, host: &str, port: u16) -> bool {
        self.hosts.contains(&(host.to_owned(), port))
    }

    /// Whether an address lies in a listed block.
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        self.blocks.iter().any(|block| block.holds(address))
    }

    /// Why an address may not be connected to, if so.
    pub(crate) fn refuses(&self, address: IpAddr) -> Option<&'static str> {
        if self.holds(address) { None } else { forbidden(address) }
    }
}

/// Blocks of IPv4 that are not on the public internet (IANA special-purpose registry).
const V4: [(Ipv4Addr, u8, &str); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "carrier-grade NAT"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "protocol assignments"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "6to4 relay"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "benchmarking"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "multicast"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved or broadcast"),
];

/// Blocks within the global unicast space of IPv6 that are not on the public internet.
const V6: [(Ipv6Addr, u8, &str); 3] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "protocol assignments"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "documentation"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "documentation"),
];

/// Why an address is not on the public internet, if so.
fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |(base, bits, _): &&(Ipv4Addr, u8, &str)| {
        Block { base: IpAddr::V4(*base), bits: *bits }.holds(IpAddr::V4(address))
    };
    V4.iter().find(within).map(|(.., what)| *what)
}

/// Only the global unicast space `2000::/3` is the public internet. What carries an IPv4 address
/// through a translator is judged by that one; what merely writes one in another way is refused.
fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match segments {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => return forbidden_v4(v4(high, low)),
        [0x2002, high, low, ..] => return forbidden_v4(v4(high, low)),
        [0, 0, 0, 0, 0, 0xffff, ..] => return Some("IPv4-mapped"),
        [0, 0, 0, 0, 0, 0, ..] => return Some("loopback, unspecified or IPv4-compatible"),
        [first, ..] if first & 0xe000 != 0x2000 => {
            return Some("unique local, link-local, multicast or reserved");
        }
        _ => {}
    }
    let within = |(base, bits, _): &&(Ipv6Addr, u8, &str)| {
        Block { base: IpAddr::V6(*base), bits: *bits }.holds(IpAddr::V6(address))
    };
    V6.iter().find(within).map(|(.., what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses(allow: &Allow, address: &str) -> bool {
        allow.refuses(address.parse().unwrap()).is_some()
    }

    #[test]
    fn only_the_public_internet_may_be_reached() {
        let inside = "0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.127.255.255 127.0.0.1 127.255.255.254 \
            169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 \
            198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.255.255.255 240.0.0.1 \
            255.255.255.255 :: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:8.8.8.8 \
            ::ffff:169.254.169.254 64:ff9b::127.0.0.1 64:ff9b::10.1.2.3 64:ff9b::169.254.169.254 \
            64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1:: 2002:a9fe:a9fe:: 3fff::1 5f00::1 \
            fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1";
        let outside = "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 \
            128.0.0.1 169.253.0.1 172.15.0.1 172.32.0.1 192.0.1.1 192.167.1.1 192.169.1.1 \
            198.17.0.1 198.20.0.1 203.0.114.1 223.255.255.255 2001:200::1 2606:4700::1111 \
            2a00:1450:4001::1 64:ff9b::8.8.8.8 2002:808:808::1";
        let none = Allow::default();
        for address in inside.split_whitespace() {
            assert!(refuses(&none, address), "{address} may be reached");
        }
        for address in outside.split_whitespace() {
            assert!(!refuses(&none, address), "{address} may not be reached");
        }
    }

    #[test]
    fn exactly_what_is_listed_may_be_reached_too() {
        let texts =
            ["10.20.0.0/16", "Relay.Local:8080", "[::1]:443", "fd00:1::/64", "127.0.0.1:99"];
        let allow = Allow::parse(&texts.map(str::to_owned)).unwrap();
        assert!(!refuses(&allow, "10.20.255.1") && refuses(&allow, "10.21.0.1"));
        assert!(!refuses(&allow, "fd00:1::9") && refuses(&allow, "fd00:1:0:1::9"));
        assert!(allow.names("relay.local", 8080) && !allow.names("relay.local", 8081));
        assert!(!allow.names("x.relay.local", 8080) && allow.names("[::1]", 443));
        // A listed host says nothing of its address under another port.
        assert!(refuses(&allow, "127.0.0.1"));
        for wrong in ["10.0.0.0/33", "relay", "relay:0", "*.local:80", "a@b:80", ":80", "x/y:80"] {
            assert!(Allow::parse(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        let all = Allow::parse(&["0.0.0.0/0".to_owned(), "::/0".to_owned()]).unwrap();
        assert!(!refuses(&all, "127.0.0.1") && !refuses(&all, "::1"));
    }
}
