//! The exact attributes, name and status of each profile, for each way a request can end. Nothing may be missing, and
//! nothing may be there that no line below names.

use crate::support::client::{self, Connection, WithHeader, streamed};
use crate::support::pounce::{Builder, Pounce};
use crate::support::span::{Span, Status};
use crate::support::{Abi, Collector, Protocol, for_both_abis, pounce};
use bytes::Bytes;
use http::Method;
use hyper::body::Frame;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Profile {
    Compat,
    Dup,
    Stable,
}

const PROFILES: [Profile; 3] = [Profile::Compat, Profile::Dup, Profile::Stable];

for_both_abis!(
    answered,
    from_the_guest,
    trapped,
    timed_out,
    shed,
    aborted,
    streamed_through
);

/// What a span must say of a request, beside what all of them say.
struct Expected<'a> {
    method: &'a str,
    /// As it may be recorded: redacted.
    target: &'a str,
    version: &'a str,
    /// Status code and bytes of body, when a head was sent.
    sent: Option<(u16, &'a str)>,
    error_type: Option<&'a str>,
    component: &'a str,
    /// Further lines.
    more: &'a str,
}

const GET: Expected<'static> = Expected {
    method: "GET",
    target: "/",
    version: "1.1",
    sent: None,
    error_type: None,
    component: "",
    more: "",
};

/// Of a request that a guest took; how far it got decides what can be known of it.
const PHASES: &str = "
    pounce.instance.reused = <bool>
    ? pounce.queue.duration = <seconds>
    ? pounce.instantiate.duration = <seconds>
    ? pounce.guest.cpu_time = <seconds>
    ? pounce.guest.memory.peak = <bytes>";

/// Of a request that took a fresh instance to the end of its work.
const ALL_PHASES: &str = "
    pounce.instance.reused = false
    ? pounce.queue.duration = <seconds>
    pounce.instantiate.duration = <seconds>
    pounce.guest.cpu_time = <seconds>
    pounce.guest.memory.peak = <bytes>";

impl Expected<'_> {
    fn check(&self, profile: Profile, server: &Pounce, span: &Span) {
        let port = server.addr().port();
        let (path, query) = self
            .target
            .split_once('?')
            .map_or((self.target, None), |(path, query)| (path, Some(query)));
        let Expected {
            method,
            target,
            version,
            component,
            more,
            ..
        } = self;
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

        let name = if profile == Profile::Compat {
            format!("{method} {path}")
        } else {
            (*method).to_owned()
        };
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
    async fn start(self, builder: Builder) -> (Pounce, Collector) {
        let collector = Collector::start().await;
        let builder = match self {
            Profile::Compat => builder,
            Profile::Dup => builder.flag("--otel-semconv", "http/dup"),
            Profile::Stable => builder.flag("--otel-semconv", "http"),
        };
        (builder.traced(&collector).start().await, collector)
    }
}

/// 200, with a query that holds secrets among harmless parameters.
async fn answered(abi: Abi) {
    let secrets = [
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "AWSAccessKeyId",
        "Signature",
        "sig",
        "X-Goog-Signature",
    ];
    let given: String = secrets.iter().map(|key| format!("{key}=s3cret&")).collect();
    let kept: String = secrets
        .iter()
        .map(|key| format!("{key}=REDACTED&"))
        .collect();
    for profile in PROFILES {
        let (server, collector) = profile.start(pounce().guest(abi, "hello")).await;
        let path = format!("/hello%20there?a=1&{given}SIG=kept&b");
        let request = client::get(&path).with("user-agent", "pounce-test/1.0 (é)".as_bytes());
        client::fetch(server.addr(), Protocol::H1, request).await;
        let span = collector.span().await;
        let phases = if abi == Abi::P2 { ALL_PHASES } else { PHASES };
        let expected = Expected {
            target: &format!("/hello%20there?a=1&{kept}SIG=kept&b"),
            sent: Some((200, "14")),
            component: &abi.stem("hello"),
            more: &format!("user_agent.original = \"pounce-test/1.0 (é)\" {phases}"),
            ..GET
        };
        expected.check(profile, &server, &span);
        assert!(span.events.is_empty(), "{:?}", span.events);
        assert!(!format!("{span:?}").contains("s3cret"), "{span:?}");
    }
}

/// 404 is an answer like any other to a server; 500 is a failure, even when the guest says it.
async fn from_the_guest(abi: Abi) {
    for profile in PROFILES {
        let (server, collector) = profile.start(pounce().guest(abi, "attributes")).await;
        for (n, status) in [404, 500].into_iter().enumerate() {
            let target = format!("/item?code={status}");
            let answer = client::fetch(server.addr(), Protocol::H2, client::get(&target)).await;
            assert_eq!(answer.status, status);
            let span = &collector.spans(n + 1).await[n];
            let expected = Expected {
                target: &target,
                version: "2",
                sent: Some((status, &answer.body.len().to_string())),
                error_type: (status == 500).then_some("500"),
                component: &abi.stem("attributes"),
                more: PHASES,
                ..GET
            };
            expected.check(profile, &server, span);
            // The code says it: a description would only repeat it.
            assert!(
                matches!(&span.status, Status::Error(text) if text.is_empty()) == (status == 500)
            );
        }
    }
}

async fn trapped(abi: Abi) {
    for profile in PROFILES {
        let (server, collector) = profile.start(pounce().guest(abi, "trap")).await;
        let answer =
            client::fetch(server.addr(), Protocol::H1, client::post("/panic", "12345")).await;
        let span = collector.span().await;
        let expected = Expected {
            method: "POST",
            target: "/panic",
            sent: Some((500, &answer.body.len().to_string())),
            error_type: Some("wasm_trap.unreachable"),
            component: &abi.stem("trap"),
            more: &format!("http.request.body.size = 5 {PHASES}"),
            ..GET
        };
        expected.check(profile, &server, &span);
        span.event("exception");
    }
}

async fn timed_out(abi: Abi) {
    for profile in PROFILES {
        let (server, collector) = profile
            .start(
                pounce()
                    .guest(abi, "slow")
                    .flag("--request-timeout", "300ms"),
            )
            .await;
        let answer = client::fetch_path(server.addr(), "/?ms=600000").await;
        let expected = Expected {
            target: "/?ms=600000",
            sent: Some((504, &answer.body.len().to_string())),
            error_type: Some("timeout"),
            component: &abi.stem("slow"),
            more: &PHASES.replace("pounce.instance", "? pounce.instance"),
            ..GET
        };
        expected.check(profile, &server, &collector.span().await);
    }
}

async fn shed(abi: Abi) {
    for profile in PROFILES {
        let (server, collector) = profile
            .start(pounce().guest(abi, "slow").flag("--max-in-flight", 1))
            .await;
        let held = client::hold(
            server.addr(),
            Protocol::H1,
            "/held?ms=0&body_ms=100&chunks=1000000",
        )
        .await;
        let answer = client::fetch_path(server.addr(), "/shed").await;
        let span = collector
            .span_where("of the shed request", |span| {
                span.text("url.path") == "/shed"
            })
            .await;
        let expected = Expected {
            target: "/shed",
            sent: Some((503, &answer.body.len().to_string())),
            error_type: Some("overloaded"),
            component: &abi.stem("slow"),
            ..GET
        };
        // No guest saw it, so there are no phases to tell of.
        expected.check(profile, &server, &span);
        drop(held);
    }
}

async fn aborted(abi: Abi) {
    for profile in PROFILES {
        let (server, collector) = profile.start(pounce().guest(abi, "slow")).await;
        let target = "/?ms=0&body_ms=20&chunks=1000000";
        let (connection, response) = client::hold(server.addr(), Protocol::H1, target).await;
        connection.abort();
        drop(response);
        let expected = Expected {
            target,
            sent: Some((200, "<bytes>")),
            error_type: Some("client_disconnected"),
            component: &abi.stem("slow"),
            more: PHASES,
            ..GET
        };
        expected.check(profile, &server, &collector.span().await);
    }
}

/// Sizes are what went over the wire, known only at the end.
async fn streamed_through(abi: Abi) {
    for profile in PROFILES {
        let (server, collector) = profile.start(pounce().guest(abi, "echo")).await;
        let (sender, body) = streamed();
        tokio::spawn(async move {
            for _ in 0..10 {
                sender
                    .send(Ok(Frame::data(Bytes::from(vec![b'x'; 10_000]))))
                    .await
                    .expect("the server reads");
            }
        });
        let mut connection = Connection::open(server.addr(), Protocol::H2).await;
        let answer = connection
            .fetch(client::request(Method::POST, "/stream", body))
            .await;
        assert_eq!(answer.text().len(), 100_000);
        let expected = Expected {
            method: "POST",
            target: "/stream",
            version: "2",
            sent: Some((200, "100000")),
            component: &abi.stem("echo"),
            more: &format!("? http.request.body.size = 100000 {PHASES}"),
            ..GET
        };
        expected.check(profile, &server, &collector.span().await);
    }
}

/// A response without a body has sent none, whatever length its head tells.
#[tokio::test]
async fn head_sends_no_bytes() {
    let (server, collector) = Profile::Stable
        .start(pounce().guest(Abi::P2, "hello"))
        .await;
    for protocol in [Protocol::H1, Protocol::H2] {
        client::fetch(
            server.addr(),
            protocol,
            client::request(Method::HEAD, "/", client::empty()),
        )
        .await;
    }
    for span in collector.spans(2).await {
        assert_eq!(
            (
                span.int("http.response.body.size"),
                span.int("http.response.status_code")
            ),
            (Some(0), Some(200))
        );
        assert_eq!(span.status, Status::Unset);
    }
}

/// What a client calls the server, not what it connected to.
#[tokio::test]
async fn the_server_is_named_as_the_client_named_it() {
    let (server, collector) = Profile::Compat.start(pounce().fixture("status.wat")).await;
    for host in ["shop.example", "shop.example:8443", "[2001:db8::1]:81"] {
        client::fetch(
            server.addr(),
            Protocol::H1,
            client::get("/200").with("host", host),
        )
        .await;
    }
    let spans = collector.spans(3).await;
    for (span, (host, address, port)) in spans.iter().zip([
        ("shop.example", "shop.example", 80),
        ("shop.example:8443", "shop.example", 8443),
        ("[2001:db8::1]:81", "2001:db8::1", 81),
    ]) {
        assert_eq!(
            (span.text("http.host"), span.text("server.address")),
            (host, address)
        );
        assert_eq!(
            (span.int("server.port"), span.int("net.host.port")),
            (Some(port), Some(port)),
            "{host}"
        );
    }
}
