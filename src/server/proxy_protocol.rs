//! The PROXY protocol (`http.proxy-protocol`): what a trusted proxy that only passes bytes on says of its client before
//! the first of them. The specification is haproxy's `proxy-protocol.txt`, versions 1 and 2.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::config::ProxyProtocol;

/// Bytes of the longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;
/// Bytes of the shortest: `PROXY UNKNOWN\r\n`.
const SHORTEST_LINE: usize = 15;
/// What version 2 begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Bytes of version 2 up to the addresses.
const FIXED: usize = 16;
/// Bytes that follow them at most: addresses, and what proxies add, which is skipped.
const MOST: usize = 4096;

/// The ends of a connection, as its proxy has them. None where it does not know them, or speaks for itself (to see
/// whether we live).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
}

/// Why there is no telling whose the connection is.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unproxied {
    #[error("the proxy sent no valid header of the PROXY protocol: {0}")]
    Malformed(&'static str),
    #[error("the proxy hung up within its header of the PROXY protocol: {0}")]
    Broken(#[from] io::Error),
}

use Unproxied::Malformed;

/// Reads the header off a connection, and not a byte more.
///
/// # Errors
/// There is none of the wanted version, or it breaks off.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    version: ProxyProtocol,
) -> Result<Option<Ends>, Unproxied> {
    match version {
        ProxyProtocol::Off => Ok(None),
        ProxyProtocol::V1 => {
            let mut line = [0; LONGEST_LINE];
            let mut read = SHORTEST_LINE;
            stream.read_exact(&mut line[..read]).await?;
            while !line[..read].ends_with(b"\r\n") {
                if read == LONGEST_LINE || !line.starts_with(b"PROXY ") {
                    return Err(Malformed("no line of version 1"));
                }
                line[read] = stream.read_u8().await?;
                read += 1;
            }
            line_of(&line[..read])
        }
        ProxyProtocol::V2 => {
            let mut fixed = [0; FIXED];
            stream.read_exact(&mut fixed).await?;
            let length = length(&fixed)?;
            // Not on the stack, which a connection keeps for its whole life.
            let mut rest = vec![0; length];
            stream.read_exact(&mut rest).await?;
            binary(&fixed, &rest)
        }
    }
}

/// Reads a whole line of version 1.
pub(super) fn line_of(line: &[u8]) -> Result<Option<Ends>, Unproxied> {
    let text = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
    let text = text.ok_or(Malformed("no line of version 1"))?;
    let rest = text.strip_prefix("PROXY ").ok_or(Malformed("no line of version 1"))?;
    if rest == "UNKNOWN" || rest.starts_with("UNKNOWN ") {
        // What stands behind it is to be ignored.
        return Ok(None);
    }
    let words: Vec<&str> = rest.split(' ').collect();
    let [family, client, server, client_port, server_port] = words[..] else {
        return Err(Malformed("not five words after PROXY"));
    };
    let ends = match family {
        "TCP4" => (address::<Ipv4Addr>(client)?, address::<Ipv4Addr>(server)?),
        "TCP6" => (address::<Ipv6Addr>(client)?, address::<Ipv6Addr>(server)?),
        _ => return Err(Malformed("neither TCP4 nor TCP6 nor UNKNOWN")),
    };
    Ok(Some(Ends {
        client: SocketAddr::new(ends.0, port(client_port)?),
        server: SocketAddr::new(ends.1, port(server_port)?),
    }))
}

fn address<T: FromStr + Into<IpAddr>>(text: &str) -> Result<IpAddr, Unproxied> {
    text.parse::<T>().map(Into::into).map_err(|_| Malformed("an address that is none of its family"))
}

fn port(text: &str) -> Result<u16, Unproxied> {
    // No sign, and no zero in front.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain).ok_or(Malformed("a port that is none"))
}

/// Bytes that follow the fixed part of version 2.
pub(super) fn length(fixed: &[u8; FIXED]) -> Result<usize, Unproxied> {
    if !fixed.starts_with(SIGNATURE) || fixed[12] >> 4 != 2 {
        return Err(Malformed("no version 2"));
    }
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > MOST { Err(Malformed("longer than 4096 bytes")) } else { Ok(length) }
}

/// Reads a whole header of version 2.
pub(super) fn binary(fixed: &[u8; FIXED], rest: &[u8]) -> Result<Option<Ends>, Unproxied> {
    const LOCAL: u8 = 0x20;
    const PROXY: u8 = 0x21;
    const TCP4: u8 = 0x11;
    const TCP6: u8 = 0x21;
    length(fixed)?;
    match (fixed[12], fixed[13]) {
        // The proxy speaks for itself.
        (LOCAL, _) => Ok(None),
        (PROXY, TCP4) => {
            let rest: &[u8; 12] = rest.first_chunk().ok_or(Malformed("too short for its addresses"))?;
            let ip = |at: usize| Ipv4Addr::new(rest[at], rest[at + 1], rest[at + 2], rest[at + 3]).into();
            let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
            Ok(Some(Ends {
                client: SocketAddr::new(ip(0), port(8)),
                server: SocketAddr::new(ip(4), port(10)),
            }))
        }
        (PROXY, TCP6) => {
            let rest: &[u8; 36] = rest.first_chunk().ok_or(Malformed("too short for its addresses"))?;
            let ip = |at: usize| {
                let octets: [u8; 16] = std::array::from_fn(|index| rest[at + index]);
                Ipv6Addr::from(octets).into()
            };
            let port = |at: usize| u16::from_be_bytes([rest[at], rest[at + 1]]);
            Ok(Some(Ends {
                client: SocketAddr::new(ip(0), port(32)),
                server: SocketAddr::new(ip(16), port(34)),
            }))
        }
        // A family that has no addresses as we know them (Unix sockets, none at all, datagrams).
        (PROXY, _) => Ok(None),
        _ => Err(Malformed("neither LOCAL nor PROXY")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Option<Option<(String, String)>> {
        let ends = line_of(text.as_bytes()).ok()?;
        Some(ends.map(|ends| (ends.client.to_string(), ends.server.to_string())))
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> ([u8; FIXED], Vec<u8>) {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        let fixed = [&SIGNATURE[..], &[command, family], &length].concat();
        (fixed.try_into().unwrap(), rest.to_vec())
    }

    #[test]
    fn lines_of_version_1() {
        let ends = |client: &str, server: &str| Some(Some((client.to_owned(), server.to_owned())));
        let v4 = line("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
        assert_eq!(v4, ends("192.0.2.1:56324", "198.51.100.2:443"));
        let v6 = line("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n");
        assert_eq!(v6, ends("[2001:db8::1]:1", "[2001:db8::2]:65535"));
        assert_eq!(line("PROXY UNKNOWN\r\n"), Some(None));
        assert_eq!(line("PROXY UNKNOWN ffff::1 whatever\r\n"), Some(None));
        for bad in [
            "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 x\r\n",
            "PROXY  TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            "PROXY TCP4 192.0.2.01 198.51.100.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 01 443\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n",
            "PROXY UNKNOWNS\r\n",
            "GET / HTTP/1.1\r\n",
            "\r\n",
            "",
        ] {
            assert_eq!(line(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn headers_of_version_2() {
        let read = |(fixed, rest): ([u8; FIXED], Vec<u8>)| {
            let ends = binary(&fixed, &rest).ok()?;
            Some(ends.map(|ends| format!("{} {}", ends.client, ends.server)))
        };
        let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0, 80, 1, 187];
        assert_eq!(read(v2(0x21, 0x11, &v4)), Some(Some("192.0.2.1:80 198.51.100.2:443".to_owned())));
        // What proxies add (TLVs) is skipped.
        let more = [&v4[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
        assert_eq!(read(v2(0x21, 0x11, &more)), Some(Some("192.0.2.1:80 198.51.100.2:443".to_owned())));
        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
        assert_eq!(read(v2(0x21, 0x21, &v6)), Some(Some("[::1]:3 [::2]:4".to_owned())));
        assert_eq!(read(v2(0x20, 0, &[])), Some(None));
        assert_eq!(read(v2(0x21, 0, &[])), Some(None));
        assert_eq!(read(v2(0x21, 0x31, &[0; 216])), Some(None));
        for bad in
            [v2(0x21, 0x11, &v4[..11]), v2(0x21, 0x21, &v6[..35]), v2(0x22, 0x11, &v4), v2(0x11, 0x11, &v4)]
        {
            assert_eq!(read(bad), None);
        }
        assert!(length(&v2(0x21, 0x11, &[0; 5000]).0).is_err());
        assert!(length(b"GET / HTTP/1.1\r\n").is_err());
    }

    #[tokio::test]
    async fn not_a_byte_more_is_read() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 2, 0, 80, 1, 187];
        let (fixed, rest) = v2(0x21, 0x11, &v4);
        for (version, header) in [
            (ProxyProtocol::V1, b"PROXY TCP4 192.0.2.1 198.51.100.2 80 443\r\n".to_vec()),
            (ProxyProtocol::V1, b"PROXY UNKNOWN\r\n".to_vec()),
            (ProxyProtocol::V2, [&fixed[..], &rest].concat()),
            (ProxyProtocol::Off, Vec::new()),
        ] {
            let whole = [&header[..], b"GET / HTTP/1.1"].concat();
            let mut stream = &whole[..];
            read(&mut stream, version).await.unwrap();
            assert_eq!(stream, b"GET / HTTP/1.1");
            for cut in 0..header.len() {
                assert!(read(&mut &header[..cut], version).await.is_err(), "{cut}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            crate::server::fuzz::proxy_protocol(&bytes);
            crate::server::fuzz::proxy_protocol(&[&SIGNATURE[..], &bytes].concat());
        }

        #[test]
        fn lines_like_those_of_version_1_are_read_or_refused(
            line in "PROXY (TCP4|TCP6|UNKNOWN) ([0-9a-f:.]{1,20}|192\\.0\\.2\\.1|::1) (192\\.0\\.2\\.1|::ffff:1) [0-9]{1,5} [0-9]{1,6}\r\n.{0,5}"
        ) {
            crate::server::fuzz::proxy_protocol(line.as_bytes());
        }
    }
}
