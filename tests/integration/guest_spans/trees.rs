//! Whose child a span is: entered spans, scopes left in another order, the depth and number of spans.

use super::{case, guest, session, trace_id};
use crate::support::{Abi, for_both_abis};

for_both_abis!(
    a_handle_on_the_current_span_is_that_span,
    spans_may_be_deep,
    spans_may_be_many_up_to_the_limit,
    requests_of_one_instance_have_trees_of_their_own,
);

async fn a_handle_on_the_current_span_is_that_span(abi: Abi) {
    let session = session(guest(abi), &["/current"], "01").await;
    let case = &session.cases[0];
    case.expect_tree("Internal kept\nInternal ended by handle");
    let component = case.server().text("pounce.component");
    // Given back it ends nothing; told to end, it does.
    let expected = format!("by.handle = 1\n after.drop = 1\n pounce.component = {component:?}");
    case.span("kept").expect_attributes(&expected);
    case.span("ended by handle").expect_attributes(&format!("pounce.component = {component:?}"));
    assert!(case.spans.iter().all(|span| !span.is_incomplete()));
    let line = session.exit.stderr.lines().find(|line| line.contains("writes to spans that had ended"));
    assert!(line.is_some_and(|line| line.contains("\"count\":1")), "{}", session.exit);
}

async fn spans_may_be_deep(abi: Abi) {
    let case = case(abi, "/deep?depth=50").await;
    let tree: String = (1..=50).map(|n| format!("{}Internal deep {n}\n", "  ".repeat(n - 1))).collect();
    case.expect_tree(&tree);
    assert!(case.spans.iter().all(|span| !span.is_incomplete()));
}

/// What hangs under a span that was one too many is put under the nearest that a backend gets to see.
async fn spans_may_be_many_up_to_the_limit(abi: Abi) {
    let session = session(guest(abi), &["/many?count=1000", "/many?count=1003"], "01").await;
    for case in &session.cases {
        assert_eq!(case.spans.len(), 1001, "a thousand and the server span");
        assert!(case.spans.iter().all(|span| span.name != "many 1001" && !span.is_incomplete()));
    }
    let case = &session.cases[1];
    assert_eq!(case.seen("many 1000")["recording"], true);
    assert_eq!(case.seen("many 1001")["recording"], false, "a guest can tell");
    assert_eq!(case.seen("many 1001")["span_id"], case.server().span_id);
    session
        .exit
        .expect(0, &["\"count\":3,\"message\":\"spans under requests dropped|spans under requests dropped"]);
    let line = session.exit.stderr.lines().find(|line| line.contains("spans under requests dropped"));
    assert!(line.is_some_and(|line| line.contains("\"count\":3")), "{}", session.exit);
}

/// One after another in one instance, each case twice: nothing of one is left for the next.
async fn requests_of_one_instance_have_trees_of_their_own(abi: Abi) {
    let builder = guest(abi).flag("--isolation", "instance").flag("--reuse", "100");
    let paths = ["/parents", "/ended-entered", "/crossed", "/in-scope", "/parents"];
    let session = session(builder, &paths, "01").await;
    session.exit.expect(0, &[]);
    let counts: Vec<_> = session.cases.iter().map(|case| case.spans.len()).collect();
    assert_eq!(counts, [5, 3, 5, 3, 5]);
    for (n, case) in session.cases.iter().enumerate() {
        let mut known = vec![format!("{:016x}", n + 1)];
        known.extend(case.spans.iter().map(|span| span.span_id.clone()));
        assert!(case.spans.iter().all(|span| span.trace_id == trace_id(n) && known.contains(&span.parent)));
    }
    session.cases[4].expect_tree(
        "
         Internal root
           Internal current
         Internal invocation
         Internal after both",
    );
}
