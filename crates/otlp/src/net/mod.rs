//! Outgoing connections: addresses that are tried in turn, certificate authorities, TLS, proxies, and a connection as
//! hyper's pool wants it. Knows nothing of OTLP.

mod dial;
pub(crate) mod proxy;
pub mod roots;
mod stream;
pub mod tls;

pub use dial::dial;
pub use proxy::Proxies;
pub use stream::Stream;
pub use tls::Identity;
