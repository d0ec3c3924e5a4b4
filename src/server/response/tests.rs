//! What a response says beside what the guest said.

use super::*;
use crate::config;
use crate::server::drain::Drain;
use crate::server::idle::Activity;
use pounce_telemetry::{LocalReaders, Peer, Telemetry};

#[tokio::test]
async fn timings_stand_beside_those_of_the_guest() {
    let endpoint = Some("http://127.0.0.1:9".parse().unwrap());
    let otel = config::Otel { endpoint, ..config::Otel::default() };
    let telemetry = Telemetry::start(&otel.telemetry(), "hello", LocalReaders::default()).unwrap();
    let (head, ()) = http::Request::new(()).into_parts();
    let span = telemetry.server_span(&Peer::default(), &head);
    let traceparent = span.context().unwrap().traceparent();
    let activity = Arc::new(Activity::default());
    let exchange = Exchange::begin(span, &head, Arrival::default(), activity.begin(), Drain::new().open());
    let mut response = refuse(&Failure::overloaded("too many"), exchange);
    response.headers_mut().insert(SERVER_TIMING, HeaderValue::from_static("db;dur=53"));
    tell_timing(&mut response);
    let said: Vec<_> = response.headers().get_all(SERVER_TIMING).iter().collect();
    assert_eq!(said, ["db;dur=53", &format!("trace;desc=\"{traceparent}\"")]);
}
