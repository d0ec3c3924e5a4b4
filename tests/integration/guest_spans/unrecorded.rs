//! Requests that are not recorded, and servers without telemetry: nothing breaks, and nothing is sent.

use super::{guest, session, trace_id};
use crate::support::{Abi, client, for_both_abis};
use serde_json::Value as Json;
use std::collections::BTreeSet;

for_both_abis!(an_unsampled_request_has_ids_and_no_spans, without_telemetry_everything_is_a_no_op);

async fn an_unsampled_request_has_ids_and_no_spans(abi: Abi) {
    let session = session(guest(abi), &["/", "/parents"], "00").await;
    session.exit.expect(0, &[]);
    for (n, case) in session.cases.iter().enumerate() {
        assert_eq!((case.spans.len(), &case.seen["recording"]), (0, &Json::from(false)));
        assert_eq!(case.seen["server"]["trace_id"], trace_id(n));
        let spans = case.seen["spans"].as_array().unwrap();
        assert!(spans.len() > 2);
        for span in spans {
            let (id, flags) = (span["span_id"].as_str().unwrap(), &span["trace_flags"]);
            assert!(id.len() == 16 && id != "0000000000000000", "{span}");
            assert_eq!((flags, &span["recording"]), (&Json::from(0), &Json::from(false)), "{span}");
            assert_eq!(span["trace_id"], trace_id(n), "{span}");
            assert_eq!(span["inject"], format!("00-{}-{id}-00", trace_id(n)));
        }
        let ids: BTreeSet<_> = spans.iter().map(|span| span["span_id"].as_str()).collect();
        assert_eq!(ids.len(), spans.len(), "each has an id of its own");
    }
    assert_eq!(session.elsewhere.len(), 0);
    assert!(!session.exit.stderr.contains("had ended"), "{}", session.exit);
}

async fn without_telemetry_everything_is_a_no_op(abi: Abi) {
    let server = guest(abi).start().await;
    for _ in 0..3 {
        let answer = client::fetch_path(server.addr(), "/").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen: Json = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(seen["recording"], false);
        let spans = seen["spans"].as_array().unwrap();
        assert!(spans.len() > 200 && spans.iter().all(|span| span["recording"] == false));
    }
    let exit = server.stop().await;
    exit.expect(0, &[]);
    assert!(!exit.stderr.contains("WARN") && !exit.stderr.contains("\"count\""), "{exit}");
}
