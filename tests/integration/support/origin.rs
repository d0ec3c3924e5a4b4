//! A scripted HTTP server that guests call.

use super::server::{Arrived, Identity, Serving, serve};
use http::{Response, StatusCode};
use http_body_util::Full;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// An origin that answers every request alike and remembers all of them.
pub(crate) struct Origin {
    addr: SocketAddr,
    arrived: Arc<Mutex<Vec<Arrived>>>,
    _serving: Serving,
}

impl Origin {
    /// Answers `status`, in clear text.
    pub(crate) async fn answering(status: u16) -> Self {
        Self::with(status, None).await
    }

    /// Answers `status`, in TLS if there is an identity.
    pub(crate) async fn with(status: u16, identity: Option<&Identity>) -> Self {
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let list = arrived.clone();
        let status = StatusCode::from_u16(status).expect("a status");
        let answer = move |request| {
            list.lock().expect("not poisoned").push(request);
            let mut response = Response::new(Full::from("answer of the origin"));
            *response.status_mut() = status;
            std::future::ready(Some(response))
        };
        let (addr, serving) = serve(identity, answer).await;
        Origin {
            addr,
            arrived,
            _serving: serving,
        }
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT` + `path`.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// What has arrived so far.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().expect("not poisoned").clone()
    }
}
