//! Cases that fail: each kind of difference as people read it, traps, time limits, bodies without end.

use super::{Cases, case, matches, settled};
use crate::support::guest::built;
use crate::support::terminal::Terminal;
use crate::support::{Abi, pounce};

/// Runs a file that fails with one component, and compares what is said with the committed text.
async fn told(name: &str, text: &str, stem: &str) {
    let exit = Cases::new(text).run(&built(stem)).await;
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(1), ""), "{exit}");
    matches(name, &settled(&exit.stdout));
}

#[tokio::test]
async fn a_response_that_differs() {
    let lines = "response = { status = 201, headers = { content-type = \"text/html\", etag = \"*\" }, without = [\"content-length\"], \
                 body = \"Hello, *?\" }";
    told("response", &case(lines), "hello").await;
}

#[tokio::test]
async fn json_that_differs() {
    let text = "[[case]]\nname = \"a\"\nrequest = { method = \"POST\", path = \"/\", json = { user = { id = 7, name = \"Ada\" }, \
                tags = [\"a\", \"b\"] } }\nresponse = { json = { user = { id = 8, name = \"A*\", mail = \"*\" }, tags = [\"a\"] } }\n";
    told("json", text, "echo").await;
}

#[tokio::test]
async fn a_tree_that_differs() {
    let text = r#"
[[case]]
name = "in place"
request = "GET /parents"
response = 200

[case.span]
name = "GET /parents"
status = "error"
attributes = { "http.route" = "/{case}", "http.response.status_code" = 2 }

[[case.span.children]]
name = "root"

[[case.span.children.children]]
name = "current"
kind = "client"

[[case.span.children.children]]
name = "never there"

[[case.span.children]]
name = "after both"

[[case]]
name = "in another order"
request = "GET /parents"
span = { ordered = true, children = ["after both", "invocation", "root"] }

[[case]]
name = "too often"
request = "GET /many?count=3"
span = { children = [{ name = "many *", times = 2 }] }

[[case]]
name = "events, links and exceptions"
request = "GET /exceptions"
span = { children = [{ name = "exceptions", events = ["cache miss", { name = "exception", times = 1 }], links = ["*"], without = ["pounce.component"] }] }

[[case]]
name = "nothing at all"
request = "GET /plain"
span = []
"#;
    told("tree", text, "spans").await;
}

#[tokio::test]
async fn log_records_that_differ() {
    let text = case(
        "log = [\"a line\", { body = \"never said\" }, { body = \"*\", times = 1, attributes = { \"log.iostream\" = \"stderr\" } }]",
    );
    told("logs", &text, "stdio").await;
}

#[tokio::test]
async fn a_trap_is_told_with_its_backtrace() {
    let text = "[[case]]\nname = \"a\"\nrequest = \"GET /oob\"\nresponse = 200\n";
    for abi in [Abi::P2, Abi::P3] {
        let exit = Cases::new(text).run(&abi.guest("trap")).await;
        assert_eq!(exit.code, Some(1), "{exit}");
        for part in [
            "exception wasm_trap.out_of_bounds",
            "read_beyond_memory",
            "-   status = 200",
            "+   status = 500",
        ] {
            assert!(exit.stdout.contains(part), "{part}\n{exit}");
        }
    }
}

/// Whatever a guest does, a case has an end, and says what took too long.
#[tokio::test]
async fn every_case_has_an_end() {
    for (stem, request, lines, said) in [
        ("busy-loop", "/", "timeout = \"300ms\"", "no response came within 300ms (timeout)"),
        ("busy-loop-p3", "/", "timeout = \"300ms\"", "no response came within 300ms (timeout)"),
        ("no-response-p3", "/", "timeout = \"300ms\"", "no response came within 300ms (timeout)"),
        ("slow", "/?ms=0&chunks=1000000000", "max-body = \"64KiB\"", "more than 65536 bytes (max-body)"),
        ("slow-p3", "/?ms=0&chunks=1000000000", "max-body = \"64KiB\"", "more than 65536 bytes (max-body)"),
        (
            "slow",
            "/?ms=0&chunks=2&body_ms=100000",
            "timeout = \"1s\"",
            "the response was not over within 1s (timeout)",
        ),
        (
            "leave",
            "/?ms=100000",
            "timeout = \"1s\"",
            "the guest was not done with the request within 1s (timeout)",
        ),
    ] {
        let text = format!("[[case]]\nname = \"a\"\nrequest = \"{request}\"\nresponse = 200\n{lines}\n");
        let exit = Cases::new(&text).run(&built(stem)).await;
        assert_eq!(exit.code, Some(1), "{stem}\n{exit}");
        assert!(exit.stdout.contains(said), "{stem}: {said}\n{exit}");
        assert!(!exit.stdout.contains("client went away"), "{stem}: nobody else did\n{exit}");
    }
}

/// One that hangs is no reason for the others to fail.
#[tokio::test]
async fn others_pass_beside_one_that_hangs() {
    let hangs = "[[case]]\nname = \"hangs\"\nrequest = \"/?ms=100000\"\nresponse = 200\ntimeout = \"1s\"\n";
    let passes =
        |n: usize| format!("[[case]]\nname = \"passes {n}\"\nrequest = \"/?ms=1\"\nresponse = 200\n");
    let text = hangs.to_owned() + &(0..20).map(passes).collect::<String>();
    let exit = Cases::new(&text).run(&built("slow")).await;
    assert_eq!(exit.code, Some(1), "{exit}");
    assert_eq!(exit.stdout.matches("ok   passes").count(), 20, "{exit}");
    assert!(exit.stdout.contains("1 of 21 cases failed"), "{exit}");
}

#[tokio::test]
async fn a_trace_that_nobody_could_tell_from_others_is_refused() {
    let own = "headers = { traceparent = \"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\" }";
    let case = |name: &str, headers: &str| {
        format!("[[case]]\nname = \"{name}\"\nrequest = {{ path = \"/\", {headers} }}\nresponse = 200\n")
    };
    let broken = "headers = { traceparent = \"00-xyz-01\" }";
    let exit = Cases::new(&(case("one", own) + &case("other", own) + &case("broken", broken)))
        .run(&built("hello"))
        .await;
    assert_eq!(exit.code, Some(1), "{exit}");
    for part in [
        "ok   one",
        "FAIL other",
        "another case of the file has the same trace id",
        "its header traceparent is not valid",
    ] {
        assert!(exit.stdout.contains(part), "{part}\n{exit}");
    }
    let exit =
        Cases::new(&("[otel]\npropagators = [\"none\"]\n".to_owned() + &super::case("response = 200")))
            .run(&built("hello"))
            .await;
    assert!(exit.code == Some(1) && exit.stdout.contains("otel.propagators names no format"), "{exit}");
    let exit =
        Cases::new(&("[otel]\npropagators = [\"b3\"]\n".to_owned() + &super::case("span = \"GET /\"")))
            .run(&built("hello"))
            .await;
    assert_eq!(exit.code, Some(0), "{exit}");
}

/// What differs has colours on a terminal; elsewhere, and where nobody wants them, there are none.
#[tokio::test]
async fn differences_have_colours_on_a_terminal() {
    let cases = Cases::new(&case("response = 201"));
    let builder = || {
        let builder = pounce().command("test").component(built("hello"));
        builder.flag("--cases", cases.path.display()).env("TERM", "xterm-256color")
    };
    let mut terminal = Terminal::start(builder());
    terminal.shows("1 of 1 case failed").await;
    let screen = terminal.screen();
    for part in [
        "\u{1b}[31mFAIL\u{1b}[0m",
        "\u{1b}[31m   -   status = 201\u{1b}[0m",
        "\u{1b}[32m   +   status = 200\u{1b}[0m",
    ] {
        assert!(screen.contains(part), "{part:?}\n{screen:?}");
    }
    assert_eq!(terminal.ends().await, Some(1));
    let mut terminal = Terminal::start(builder().env("NO_COLOR", "1"));
    terminal.shows("1 of 1 case failed").await;
    assert!(!terminal.screen().contains('\u{1b}'), "{:?}", terminal.screen());
    let exit = builder().env("FORCE_COLOR", "1").run().await;
    assert!(!exit.stdout.contains('\u{1b}'), "{exit}");
}
