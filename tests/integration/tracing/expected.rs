//! What a span must say, line by line, in each profile.

use crate::support::Collector;
use crate::support::pounce::{Builder, Pounce};
use crate::support::span::{Span, Status};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Profile {
    Compat,
    Dup,
    Stable,
}

pub(super) const PROFILES: [Profile; 3] = [Profile::Compat, Profile::Dup, Profile::Stable];

/// What a span must say of a request, beside what all of them say.
pub(super) struct Expected<'a> {
    pub(super) method: &'a str,
    /// As it may be recorded: redacted.
    pub(super) target: &'a str,
    pub(super) version: &'a str,
    /// Status code and bytes of body, when a head was sent.
    pub(super) sent: Option<(u16, &'a str)>,
    pub(super) error_type: Option<&'a str>,
    pub(super) component: &'a str,
    /// Further lines.
    pub(super) more: &'a str,
}

pub(super) const GET: Expected<'static> = Expected {
    method: "GET",
    target: "/",
    version: "1.1",
    sent: None,
    error_type: None,
    component: "",
    more: "",
};

/// Of a request that a guest took; how far it got decides what can be known of it.
pub(super) const PHASES: &str = "
    pounce.instance.reused = <bool>
    ? pounce.queue.duration = <seconds>
    ? pounce.instantiate.duration = <seconds>
    ? pounce.guest.cpu_time = <seconds>
    ? pounce.guest.memory.peak = <bytes>
    ? pounce.response.head.duration = <seconds>";

/// Of a request that took a fresh instance to the end of its work.
pub(super) const ALL_PHASES: &str = "
    pounce.instance.reused = false
    ? pounce.queue.duration = <seconds>
    pounce.instantiate.duration = <seconds>
    pounce.guest.cpu_time = <seconds>
    pounce.guest.memory.peak = <bytes>
    ? pounce.response.head.duration = <seconds>";

impl Expected<'_> {
    /// Compares with what came from `server`.
    pub(super) fn check(&self, profile: Profile, server: &Pounce, span: &Span) {
        let port = server.addr().port();
        let (path, query) =
            self.target.split_once('?').map_or((self.target, None), |(path, query)| (path, Some(query)));
        let Expected { method, target, version, component, more, .. } = self;
        let mut lines = format!(
            "http.request.method = {method:?}
             url.path = {path:?}
             url.scheme = \"http\"
             server.address = \"127.0.0.1\"
             server.port = {port}
             network.protocol.version = {version:?}
             network.peer.address = \"127.0.0.1\"
             network.peer.port = <port>
             client.address = \"127.0.0.1\"
             pounce.component = {component:?}
             {more}\n"
        );
        let mut line = |line: String| lines.extend([line.as_str(), "\n"]);
        if let Some(query) = query {
            line(format!("url.query = {query:?}"));
        }
        if let Some(error_type) = self.error_type {
            line(format!("error.type = {error_type:?}"));
        }
        if let Some((status, bytes)) = self.sent {
            line(format!("http.response.status_code = {status}"));
            line(format!("http.response.body.size = {bytes}"));
        }
        if profile != Profile::Stable {
            line(format!("http.method = {method:?}"));
            line(format!("http.target = {target:?}"));
            line("http.scheme = \"http\"".to_owned());
            line(format!("http.host = \"127.0.0.1:{port}\""));
            line(format!("net.host.port = {port}"));
            if let Some((status, bytes)) = self.sent {
                line(format!("http.status_code = {status}"));
                line(format!("http.response_content_length = {bytes}"));
            }
        }
        span.expect_attributes(&lines);

        let name = if profile == Profile::Compat { format!("{method} {path}") } else { (*method).to_owned() };
        assert_eq!(span.name, name, "{profile:?}");
        match (&span.status, self.error_type) {
            (Status::Error(_), Some(_)) => {}
            (Status::Ok, None) if profile == Profile::Compat => {}
            (Status::Unset, None) if profile != Profile::Compat => {}
            (status, error_type) => {
                panic!("{profile:?}: status {status:?} with error.type {error_type:?}")
            }
        }
        assert_eq!(span.dropped_attributes, 0);
    }
}

impl Profile {
    /// A server of this profile and what it sends.
    pub(super) async fn start(self, builder: Builder) -> (Pounce, Collector) {
        let collector = Collector::start().await;
        let builder = match self {
            Profile::Compat => builder,
            Profile::Dup => builder.flag("--otel-semconv", "http/dup"),
            Profile::Stable => builder.flag("--otel-semconv", "http"),
        };
        (builder.traced(&collector).start().await, collector)
    }
}
