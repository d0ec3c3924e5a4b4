//! Outgoing calls: refused where nothing answers, counted, passed on where the file says so.

use super::{Cases, matches, settled};
use crate::support::origin::Origin;
use crate::support::{Abi, for_both_abis};

for_both_abis!(
    a_call_that_nothing_answers_fails_the_case,
    mocks_are_counted,
    a_call_passes_to_whom_the_case_names,
    a_guest_sees_the_error_that_the_mock_names,
    mocks_are_told_apart_by_what_is_posted,
    a_body_without_end_is_not_taken,
);

async fn a_call_that_nothing_answers_fails_the_case(abi: Abi) {
    // The guest sees what it would see of a call that no rule allows.
    let text = "[[case]]\nname = \"a\"\nrequest = \"GET /?url=https://api.example.com/users/7\"\n\
                response = { json = { results = [{ error = \"http_request_denied\" }] } }\n";
    let exit = Cases::new(text).run(&abi.guest("calls")).await;
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(1), ""), "{exit}");
    matches("refused", &settled(&exit.stdout));
}

async fn mocks_are_counted(abi: Abi) {
    let text = |n: usize, times: &str| {
        format!(
            "[[case]]\nname = \"a\"\nrequest = \"GET /?url=http://a.test/&n={n}\"\n\
             [[case.mock]]\nrequest = \"GET http://a.test/\"\n{times}\n"
        )
    };
    for (n, times, said) in [
        (1, "", None),
        (3, "at-least = 2\nat-most = 3", None),
        (2, "times = 1", Some("once more than the mock `GET http://a.test/` answers (once)")),
        (1, "times = 2", Some("the mock `GET http://a.test/` was called once, expected 2 times")),
        (1, "times = 0", Some("once more than the mock `GET http://a.test/` answers (never)")),
    ] {
        let exit = Cases::new(&text(n, times)).run(&abi.guest("calls")).await;
        match said {
            None => assert_eq!(exit.code, Some(0), "{times}\n{exit}"),
            Some(said) => assert!(exit.code == Some(1) && exit.stdout.contains(said), "{times}\n{exit}"),
        }
    }
    let spelt = "[[case]]\nname = \"a\"\nrequest = \"GET /?url=http://Backend.TEST:80/&n=2\"\n\
                 [[case.mock]]\nrequest = \"GET HTTP://backend.test\"\ntimes = 2\n";
    let exit = Cases::new(spelt).run(&abi.guest("calls")).await;
    assert_eq!(exit.code, Some(0), "{exit}");
    let never = "[[case]]\nname = \"a\"\nrequest = \"GET /?url=http://a.test/\"\n[[case.mock]]\nrequest = \"*\"\n\
                 [[case.mock]]\nrequest = \"http://b.test/\"\n";
    let exit = Cases::new(never).run(&abi.guest("calls")).await;
    let said = "the mock `* http://b.test/` was not called, expected at least once";
    assert!(exit.code == Some(1) && exit.stdout.contains(said), "{exit}");
}

async fn a_call_passes_to_whom_the_case_names(abi: Abi) {
    let origin = Origin::answering(204).await;
    let url = origin.url("/status/204");
    let text = format!(
        "[[case]]\nname = \"passes\"\nrequest = \"GET /?url={url}\"\npass = \"http://127.0.0.1:*\"\n\
         response = {{ json = {{ results = [{{ status = \"2*\" }}] }} }}\n\
         span = {{ children = [{{ name = \"GET\", kind = \"client\", attributes = {{ \"network.peer.address\" = \"127.0.0.1\" }} }}] }}\n\
         [[case]]\nname = \"does not\"\nrequest = \"GET /?url={url}\"\n"
    );
    let exit = Cases::new(&text).run(&abi.guest("calls")).await;
    assert_eq!(exit.code, Some(1), "{exit}");
    assert!(exit.stdout.contains("ok   passes") && exit.stdout.contains("FAIL does not"), "{exit}");
    assert!(exit.stdout.contains("which nothing answers"), "{exit}");
}

async fn a_guest_sees_the_error_that_the_mock_names(abi: Abi) {
    let errors = [
        "connection_refused",
        "dns_timeout",
        "tls_certificate_error",
        "http_response_timeout",
        "destination_not_found",
    ];
    let case = |error: &&str| {
        format!(
            "[[case]]\nname = \"{error}\"\nrequest = \"GET /?url=http://a.test/\"\n\
             response = {{ json = {{ results = [{{ error = \"{error}\" }}] }} }}\n\
             span = {{ children = [{{ status = \"error\", attributes = {{ \"error.type\" = \"{error}\" }} }}] }}\n\
             [[case.mock]]\nrequest = \"*\"\nerror = \"{error}\"\n"
        )
    };
    let exit = Cases::new(&errors.iter().map(case).collect::<String>()).run(&abi.guest("calls")).await;
    assert_eq!(exit.code, Some(0), "{exit}");
}

/// By method, headers and body, of which JSON may have more.
async fn mocks_are_told_apart_by_what_is_posted(abi: Abi) {
    let call = |id: u8| format!("{{ url = \"http://a.test/\", arguments = {{ id = {id}, more = true }} }}");
    let mock = |matches: &str, status: u16| {
        format!(
            "[[case.mock]]\nrequest = {{ url = \"*a.test/\", {matches} }}\nresponse = {status}\ntimes = 1\n"
        )
    };
    let text = format!(
        "[[case]]\nname = \"a\"\nrequest = {{ method = \"POST\", path = \"/\", json = [{}, {}, {}, {}] }}\n\
         response = {{ json = [{{ status = 201 }}, {{ status = 202 }}, {{ status = 203 }}, {{ status = 200 }}] }}\n{}{}{}{}{}",
        call(1),
        call(2),
        call(3),
        call(4),
        mock("method = \"PUT\", body = \"*\"", 500).replace("times = 1", "times = 0"),
        mock("headers = { x-absent = \"*\" }", 500).replace("times = 1", "times = 0"),
        mock("json = { id = 1 }", 201),
        mock("body = \"*\\\"id\\\":2*\"", 202),
        mock("json = { id = 3, more = true }", 203) + &mock("method = \"POST\"", 200),
    );
    let exit = Cases::new(&text).run(&abi.guest("relay")).await;
    assert_eq!(exit.code, Some(0), "{text}\n{exit}");
}

/// A guest that writes for ever gets an error, not all the memory.
async fn a_body_without_end_is_not_taken(abi: Abi) {
    let pieces = vec!["1000000"; 20].join(",");
    let text = format!(
        "timeout = \"60s\"\n[[case]]\nname = \"a\"\nrequest = \"GET /?to=http://a.test/&write={pieces}\"\n\
         span = {{ children = [{{ status = \"error\", attributes = {{ \"error.type\" = \"http_request_body_size\" }} }}] }}\n\
         [[case.mock]]\nrequest = \"*\"\n"
    );
    let exit = Cases::new(&text).run(&abi.guest("bodies")).await;
    assert_eq!(exit.code, Some(0), "{exit}");
}
