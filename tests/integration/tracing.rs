//! The server span: names, parents, attributes of each profile, resource.

use crate::support::{Abi, Collector, client, for_both_abis, pounce};

for_both_abis!(a_request_is_one_server_span);

async fn a_request_is_one_server_span(abi: Abi) {
    let collector = Collector::start().await;
    let server = pounce()
        .guest(abi, "hello")
        .traced(&collector)
        .start()
        .await;
    client::fetch_path(server.addr(), "/hello").await;
    let span = collector.span().await;
    assert_eq!(span.name, "GET /hello");
    assert_eq!(span.text("http.request.method"), "GET");
    assert_eq!(span.int("http.response.status_code"), Some(200));
}
