//! One line for each way in which telemetry does not arrive: what to do.

use super::port::Speaks;
use super::steps::{self, Way};
use crate::send::{Accepted, Failed, Refusal, Target, for_people};
use crate::settings::{Names, Protocol, STANDARD};
use crate::signal::Signal;

/// Why an item did not arrive.
pub(super) enum Trouble {
    /// On the way to the endpoint.
    Way(steps::Trouble),
    /// The exporter's own request failed; what the port speaks instead, where that may be the reason.
    Sending(Failed, Option<Speaks>),
    /// It answered, and took nothing.
    Refused(Accepted),
}

/// What to do about `trouble`; some signal has arrived, or none.
pub(super) fn of(trouble: &Trouble, to: &Target, way: &Way, takes_some: bool) -> String {
    match trouble {
        Trouble::Way(trouble) => on_the_way(trouble, to, way),
        Trouble::Refused(accepted) if accepted.page => {
            format!("something else than an OTLP receiver answers there: check host and port ({})", usual(to))
        }
        Trouble::Refused(_) => "the endpoint takes requests, but not this: what it says tells why (often an \
                                attribute that it requires, or a quota)"
            .to_owned(),
        Trouble::Sending(failed, speaks) => match (failed.code, speaks) {
            (Some(code), _) => refused(code, failed, to, way, takes_some),
            (None, Some(speaks)) => silent(*speaks, &failed.error, to, way),
            (None, None) => generic(to),
        },
    }
}

fn on_the_way(trouble: &steps::Trouble, to: &Target, way: &Way) -> String {
    use steps::Trouble as On;
    let names = to.endpoint.names;
    let (host, port) = (&way.host, way.port);
    if let Some(proxy) = &way.proxy {
        let proxy = proxy.for_people();
        let not_it = format!("or add {host} to NO_PROXY if no proxy is needed");
        match trouble {
            On::Tunnel(Some(407)) => return wants_password(way),
            On::Tunnel(Some(403)) => {
                return format!("the proxy {proxy} forbids {host}:{port}: have it allowed, {not_it}");
            }
            On::Tunnel(_) => {
                return format!(
                    "the proxy {proxy} does not get through to {host}:{port}: see its log, {not_it}"
                );
            }
            On::NoSuchName | On::LookupTooLong | On::Refused | On::ConnectTooLong | On::Unreachable => {
                return format!(
                    "the proxy {proxy} cannot be reached: correct HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, {not_it}"
                );
            }
            _ => {}
        }
    }
    match trouble {
        On::NoSuchName => format!("correct the host name in the endpoint: nothing is called {host} here"),
        On::LookupTooLong => {
            "the name server does not answer: check /etc/resolv.conf, or name an address".to_owned()
        }
        On::Refused => format!(
            "nothing listens on port {port} of {host}: start the collector, or correct the port ({}); in a container, \
             localhost is the container itself",
            usual(to)
        ),
        On::ConnectTooLong => format!(
            "a firewall swallows what goes to port {port}, or the host is down: open the port (security group, network \
             policy), or correct the host"
        ),
        On::Unreachable => "there is no route to the endpoint: check network and address".to_owned(),
        On::NoTls => format!("the port does not speak TLS: write http://{host}:{port}, or use its TLS port"),
        On::Name => format!(
            "the certificate is for another name than {host}: use the name that is in it, or have one made for {host}"
        ),
        On::UnknownAuthority => format!(
            "the certificate's authority is not trusted here: name its file in {}",
            with_variable(names.certificate, STANDARD.certificate)
        ),
        On::NoAuthorities => format!("install ca-certificates, or name a file in {}", names.certificate),
        On::Expired => {
            "the endpoint's certificate has expired: have it renewed; if it has not, this clock is wrong"
                .to_owned()
        }
        On::NotYetValid => "the endpoint's certificate is not valid yet: set this machine's clock".to_owned(),
        On::TlsTooLong => format!(
            "the port takes connections but does not shake hands: is it one of http://? Else a firewall looks into TLS ({})",
            usual(to)
        ),
        On::NoCommonHttp => match to.protocol() {
            Protocol::Grpc => {
                format!("the port speaks no HTTP/2, which gRPC needs: set {} = http/protobuf", names.protocol)
            }
            _ => format!("the port speaks HTTP/2 only: set {} = grpc", names.protocol),
        },
        On::OtherTls => mutual(to),
        On::Tunnel(_) => generic(to),
    }
}

/// What an answer means: by its words where they leave no doubt, else by its code.
fn refused(code: u16, failed: &Failed, to: &Target, way: &Way, takes_some: bool) -> String {
    if let Some(advice) = failed.refusal.and_then(|refusal| refusal.advice(to)) {
        return advice;
    }
    match failed.refusal {
        Some(Refusal::TooLarge) => {
            "even so little is too large for what answers: raise the limit of the collector or of the proxy before it"
                .to_owned()
        }
        Some(Refusal::Path) => said(404, to, way, takes_some),
        Some(Refusal::Deltas) | None => said(code, to, way, takes_some),
    }
}

/// What a status of HTTP means, or a code of gRPC.
fn said(code: u16, to: &Target, way: &Way, takes_some: bool) -> String {
    let grpc = to.protocol() == Protocol::Grpc;
    let names = to.endpoint.names;
    let setting = names.protocol;
    let url = for_people(to.url());
    match code {
        407 => wants_password(way),
        403 if let Some(proxy) = &way.proxy => format!(
            "the proxy {} or the endpoint forbids this: have the proxy allow {}:{}, or add the host to NO_PROXY if no \
             proxy is needed; if it is the endpoint, check {}",
            proxy.for_people(),
            way.host,
            way.port,
            names.headers
        ),
        502..=504 if way.proxy.is_some() => format!(
            "the proxy does not get through to {}:{}: see its log, or add the host to NO_PROXY",
            way.host, way.port
        ),
        403 | 7 if to.endpoint.headers.is_empty() => format!(
            "the endpoint forbids this. If it wants credentials, set {}, such as api-key=…, as its vendor says; else \
             whoever runs it has to allow this machine",
            with_variable(names.headers, STANDARD.headers)
        ),
        401 | 16 if to.endpoint.headers.is_empty() => format!(
            "the endpoint wants credentials: set {}, such as api-key=…, as its vendor says",
            with_variable(names.headers, STANDARD.headers)
        ),
        401 | 16 => format!(
            "the endpoint does not accept the credentials in {}: check name, value and region",
            names.headers
        ),
        403 | 7 => format!(
            "the credentials in {} are known but may not send this: check the key's rights and tenant",
            names.headers
        ),
        404 | 405 | 501 | 12 if takes_some && to.signal != Signal::Traces => format!(
            "nothing takes {} at {url}: if the backend takes traces only, set {}",
            to.signal.word(),
            to.signal.off().unwrap_or("its exporter to none")
        ),
        // Not an answer of gRPC at all.
        400.. if grpc && !matches!(code, 429 | 500..) => {
            format!("the port speaks HTTP but no gRPC: set {setting} = http/protobuf, or use the port of gRPC (4317)")
        }
        404 | 405 | 501 => format!(
            "something answers, but takes no OTLP at {}: check port ({}) and path; /v1/traces is appended to the \
             endpoint unless it ends in it",
            to.url().path(),
            usual(to)
        ),
        12 => "it speaks gRPC but takes no OTLP: use the port of the OTLP receiver (4317)".to_owned(),
        300..400 => "redirects are not followed: set the endpoint to where it points (often https:// for http://)".to_owned(),
        400 | 415 | 3 if to.protocol() == Protocol::HttpProtobuf => {
            "it does not take what is sent, although in the form that most take: see what it says, its own log, and \
             whether this is the port and the path of its OTLP receiver (4318, /v1/traces)"
                .to_owned()
        }
        400 | 415 | 3 => format!(
            "it does not take OTLP as {}: set {setting}, and OTEL_EXPORTER_OTLP_{}_PROTOCOL where that is set, to \
             http/protobuf, the form that most take",
            to.protocol(),
            to.signal.word().to_ascii_uppercase()
        ),
        429 | 8 => format!(
            "the way is open, but it asks to send less: raise its limits, or keep fewer traces ({})",
            names.sampler
        ),
        502..=504 | 14 => "a gateway answers for a collector that is down or overloaded: see the collector, and try \
                           again"
            .to_owned(),
        _ => "the endpoint failed: see its own log".to_owned(),
    }
}

/// The proxy does not let through whoever it does not know.
fn wants_password(way: &Way) -> String {
    // Which of both counts is the endpoint's scheme.
    let variable = if way.encrypted { "HTTPS_PROXY" } else { "HTTP_PROXY" };
    match &way.proxy {
        Some(proxy) if proxy.has_password() => format!(
            "the proxy {} does not accept the user name and the password that {variable} or ALL_PROXY gives",
            proxy.for_people()
        ),
        Some(proxy) => format!(
            "the proxy {} wants a user name and a password: {variable}=http://NAME:PASSWORD@HOST:PORT",
            proxy.for_people()
        ),
        None => format!(
            "what answers is a proxy, and wants a user name and a password: it was taken for the endpoint. If it is the \
             way to the endpoint, name it in {variable}"
        ),
    }
}

/// There was no answer that could be read.
fn silent(speaks: Speaks, error: &str, to: &Target, way: &Way) -> String {
    let grpc = to.protocol() == Protocol::Grpc;
    let setting = to.endpoint.names.protocol;
    let waited = error.starts_with("no answer within");
    match speaks {
        Speaks::Tls => format!("the port speaks TLS: write https://{}:{}", way.host, way.port),
        Speaks::Http1 if grpc => {
            format!(
                "the port speaks HTTP/1.1 and no gRPC: set {setting} = http/protobuf, or use the port of gRPC (4317)"
            )
        }
        Speaks::Http2 if !grpc => {
            format!(
                "the port speaks HTTP/2 only, as gRPC does: set {setting} = grpc, or use the port of HTTP (4318)"
            )
        }
        Speaks::Nothing | Speaks::Http1 | Speaks::Http2 | Speaks::Nobody if waited => format!(
            "the connection opens, but no answer comes: the collector hangs, a firewall drops what follows, or the port \
             is another's ({}); OTEL_EXPORTER_OTLP_TIMEOUT is how long to wait",
            usual(to)
        ),
        Speaks::Nothing => {
            format!("what listens there speaks neither HTTP nor TLS: correct the port ({})", usual(to))
        }
        _ if way.encrypted => mutual(to),
        _ => generic(to),
    }
}

fn mutual(to: &Target) -> String {
    let Names { client_certificate, client_key, .. } = to.endpoint.names;
    match to.endpoint.transport.identity {
        None => format!(
            "TLS broke off: if the endpoint wants to know who calls, set {client_certificate} and {client_key}"
        ),
        Some(_) => format!(
            "TLS broke off: the endpoint may not accept the certificate in {client_certificate}; see its log"
        ),
    }
}

/// A setting, and the standard variable beside it where that is another name.
fn with_variable(setting: &str, variable: &str) -> String {
    if setting == variable { variable.to_owned() } else { format!("{setting} ({variable})") }
}

fn generic(to: &Target) -> String {
    format!(
        "the connection broke off: see the log of the collector, and check host, port ({}) and proxy",
        usual(to)
    )
}

fn usual(to: &Target) -> &'static str {
    match to.protocol() {
        Protocol::Grpc => "4317 is usual for gRPC",
        Protocol::HttpProtobuf | Protocol::HttpJson => "4318 is usual for HTTP",
    }
}
