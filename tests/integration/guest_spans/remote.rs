//! Parents in other processes: a link, or the parent itself where the operator allows it.

use super::{REMOTE, guest, session, trace_id};
use crate::support::span::tree;
use crate::support::{Abi, for_both_abis};

for_both_abis!(a_remote_parent_is_a_link_by_default, a_remote_parent_is_adopted_where_the_operator_says_so,);

async fn a_remote_parent_is_a_link_by_default(abi: Abi) {
    for builder in [guest(abi), guest(abi).flag("--otel-guest-parents", "link")] {
        let session = session(builder, &["/remote"], "01").await;
        let case = &session.cases[0];
        assert_eq!(session.elsewhere.len(), 0, "{}", tree(&session.elsewhere));
        case.expect_tree("Internal remote\n  Internal of remote\nInternal invalid remote");
        let (remote, invalid) = (case.span("remote"), case.span("invalid remote"));
        let [link] = &remote.links[..] else { panic!("{:?}", remote.links) };
        assert_eq!((link.trace_id.as_str(), link.span_id.as_str()), REMOTE);
        assert_eq!((link.trace_state.as_str(), link.attributes.len()), ("vendor=1", 0));
        assert_eq!(link.flags & 0x300, 0x300, "the guest said that it is remote");
        assert_eq!(remote.parent_is_remote(), Some(false));
        assert_eq!((invalid.links.len(), case.span("of remote").links.len()), (0, 0));
        session.exit.expect(0, &["telemetry calls of guests that were invalid or over a limit"]);
    }
}

async fn a_remote_parent_is_adopted_where_the_operator_says_so(abi: Abi) {
    let builder = guest(abi).flag("--otel-guest-parents", "adopt");
    let session = session(builder, &["/remote"], "01").await;
    let case = &session.cases[0];
    case.expect_tree("Internal invalid remote");
    assert_eq!(tree(&session.elsewhere), "Internal remote <remote>\n  Internal of remote\n");
    let [remote, below] = &session.elsewhere[..] else { panic!("{:?}", session.elsewhere) };
    assert_eq!((remote.trace_id.as_str(), remote.parent.as_str()), REMOTE);
    assert_eq!((remote.parent_is_remote(), below.parent_is_remote()), (Some(true), Some(false)));
    assert_eq!((remote.trace_state.as_str(), below.trace_state.as_str()), ("vendor=1", "vendor=1"));
    assert_eq!((remote.links.len(), remote.dropped_attributes), (1, 0), "what leads back to the request");
    assert_eq!(remote.links[0].flags & 0x300, 0x100, "which is ours");
    // The guest was told the truth, and what it injects leads there.
    assert_eq!(case.seen("remote")["trace_id"], REMOTE.0);
    assert_eq!(case.seen("of remote")["inject"], format!("00-{}-{}-01", REMOTE.0, below.span_id));
    assert_eq!(case.seen("invalid remote")["trace_id"], trace_id(0));
}
