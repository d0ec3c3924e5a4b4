//! Asks for what `wasi:sockets` has: looks `?name=` up, or makes a socket (`/tcp`, `/udp`). Answers, as JSON, with
//! `addresses` or the `error`.

use guest_http::p3;
use serde_json::{Value, json};
use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::sockets::ip_name_lookup::resolve_addresses;
use wasip3::sockets::types::{IpAddress, IpAddressFamily, TcpSocket, UdpSocket};

struct Sockets;

impl wasip3::exports::http::handler::Guest for Sockets {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = p3::target(&request);
        let failed = |error: String| json!({ "error": error });
        let answer = match target.path() {
            "/tcp" => TcpSocket::create(IpAddressFamily::Ipv4)
                .map_or_else(|error| failed(error.to_string()), |_| json!({})),
            "/udp" => UdpSocket::create(IpAddressFamily::Ipv4)
                .map_or_else(|error| failed(error.to_string()), |_| json!({})),
            _ => match resolve_addresses(target.get("name").unwrap_or_default().to_owned()).await {
                Ok(addresses) => found(addresses),
                Err(error) => failed(error.to_string()),
            },
        };
        Ok(p3::respond(200, p3::content_type("application/json"), answer.to_string().into_bytes()))
    }
}

fn found(addresses: Vec<IpAddress>) -> Value {
    let text = |address| match address {
        IpAddress::Ipv4((a, b, c, d)) => std::net::Ipv4Addr::new(a, b, c, d).to_string(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => {
            std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string()
        }
    };
    json!({ "addresses": addresses.into_iter().map(text).collect::<Vec<_>>() })
}

wasip3::http::service::export!(Sockets);
