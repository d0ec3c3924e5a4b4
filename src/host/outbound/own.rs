//! Where this server listens itself: what of it guests may call, and when.

use std::net::{IpAddr, SocketAddr};

/// The listeners of this server.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnListeners {
    /// For clients: a guest may call them where a rule names them.
    pub(crate) clients: Vec<SocketAddr>,
    /// For operators: no guest may, whatever is allowed.
    pub(crate) admin: Option<SocketAddr>,
}

impl OwnListeners {
    /// The listener that `address` leads to, if a guest may not call it; with `named` a rule names it. One that is bound
    /// to every address counts when `here`: the address is one of this machine.
    pub(super) fn closed(&self, address: SocketAddr, here: bool, named: bool) -> Option<SocketAddr> {
        let ip = address.ip().to_canonical();
        let leads_to = |own: &IpAddr| own.to_canonical() == ip || (here && own.is_unspecified());
        let clients = self.clients.iter().filter(|_| !named);
        let mut closed = clients.chain(&self.admin);
        closed.find(|own| own.port() == address.port() && leads_to(&own.ip())).copied()
    }

    /// Whether this is the one for operators.
    pub(super) fn is_admin(&self, listener: SocketAddr) -> bool {
        self.admin == Some(listener)
    }
}
