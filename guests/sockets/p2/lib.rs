//! Asks for what `wasi:sockets` has: looks `?name=` up, or makes a socket (`/tcp`, `/udp`). Answers, as JSON, with
//! `addresses` or the `error`.

use guest_http::p2;
use serde_json::{Value, json};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{ErrorCode, IpAddress, IpAddressFamily};
use wasip2::sockets::{tcp_create_socket, udp_create_socket};

struct Sockets;

impl wasip2::exports::http::incoming_handler::Guest for Sockets {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let target = p2::target(&request);
        let done = match target.path() {
            "/tcp" => tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4).map(|_| json!({})),
            "/udp" => udp_create_socket::create_udp_socket(IpAddressFamily::Ipv4).map(|_| json!({})),
            _ => lookup(target.get("name").unwrap_or_default()),
        };
        let answer = done.unwrap_or_else(|error| json!({ "error": error.name() }));
        p2::respond(out, 200, p2::content_type("application/json"), answer.to_string().as_bytes());
    }
}

fn lookup(name: &str) -> Result<Value, ErrorCode> {
    let stream = resolve_addresses(&instance_network(), name)?;
    let mut addresses = Vec::new();
    loop {
        match stream.resolve_next_address() {
            Ok(Some(address)) => addresses.push(match address {
                IpAddress::Ipv4((a, b, c, d)) => std::net::Ipv4Addr::new(a, b, c, d).to_string(),
                IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => {
                    std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string()
                }
            }),
            Ok(None) => return Ok(json!({ "addresses": addresses })),
            Err(ErrorCode::WouldBlock) => stream.subscribe().block(),
            Err(error) => return Err(error),
        }
    }
}

wasip2::http::proxy::export!(Sockets with_types_in wasip2);
