//! The committed hello, which serves a newcomer's first run, does what the one built from source does.

use crate::support::client::{self, Protocol};
use crate::support::guest::{built, root};
use crate::support::pounce::pounce;

#[tokio::test]
async fn the_prebuilt_hello_answers_as_the_built_one() {
    let built = pounce().component(built("hello")).start().await;
    let prebuilt = pounce().component(root().join("guests/prebuilt/hello.wasm")).start().await;
    for protocol in Protocol::BOTH {
        let [one, other] = [built.addr(), prebuilt.addr()]
            .map(|addr| client::fetch(addr, protocol, client::get("/any?path=1")));
        let (one, other) = (one.await, other.await);
        assert_eq!(one.status, other.status);
        assert_eq!(one.text(), other.text());
        let plain = |answer: &client::Answer| {
            let mut headers = answer.headers.clone();
            headers.remove("date");
            headers
        };
        assert_eq!(plain(&one), plain(&other));
    }
}
