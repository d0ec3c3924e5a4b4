//! Many cases at once: none sees another's trace, logs or mocks.

use super::Cases;
use crate::support::pounce;
use crate::support::{Abi, for_both_abis};

for_both_abis!(cases_do_not_disturb_each_other);

/// Cases that last for a moment each, all of which call the same URL and get answers of their own, leave attributes and
/// log records of their own, and expect nobody else's.
async fn cases_do_not_disturb_each_other(abi: Abi) {
    let calls = |n: usize| {
        format!(
            "[[case]]\nname = \"calls {n}\"\nrequest = \"GET /?url=http://a.test/&n={0}&how=concurrent\"\n\
             response = {{ json = {{ results = [{1}] }} }}\n\
             span = {{ children = [{{ name = \"GET\", attributes = {{ \"http.response.status_code\" = {2} }}, times = {0} }}] }}\n\
             [[case.mock]]\nrequest = \"GET http://a.test/\"\nresponse = {2}\ndelay = \"5ms\"\ntimes = {0}\n",
            n % 3 + 1,
            vec![format!("{{ status = {} }}", 200 + n); n % 3 + 1].join(", "),
            200 + n
        )
    };
    let tells = |n: usize| {
        format!(
            "[[case]]\nname = \"tells {n}\"\nrequest = \"GET /?set.guest.n={n}&wait=5&log.info=case+{n}\"\nresponse = 200\n\
             span = {{ attributes = {{ \"guest.n\" = \"{n}\" }}, children = [] }}\n\
             log = [{{ body = \"case {n}\", times = 1 }}, {{ body = \"*\", times = 1 }}]\n"
        )
    };
    let shared = "[guest]\nisolation = \"instance\"\n";
    let (calls, tells): (String, String) = ((0..64).map(calls).collect(), (0..64).map(tells).collect());
    for (guest, text) in [
        ("calls", calls.clone()),
        ("calls", shared.to_owned() + &calls),
        ("attributes", tells.clone()),
        ("attributes", shared.to_owned() + &tells),
    ] {
        let exit = Cases::new(&text).run_with(&abi.guest(guest), &["--jobs", "16"]).await;
        assert_eq!(exit.code, Some(0), "{exit}");
        assert!(exit.stdout.contains("64 cases passed"), "{exit}");
    }
}

/// A comparison that computes for seconds, on a machine with one thread to serve, while another case's guest has less time
/// than that.
#[tokio::test]
async fn a_comparison_takes_no_time_from_other_cases() {
    let sources = ["spans", "slow"].map(|name| Abi::P2.guest(name).display().to_string());
    let other = "{ name = \"*\", attributes = { nth = \"none*\" } }";
    let text = format!(
        "[[component]]\nname = \"spans\"\nsource = \"{}\"\n[[component]]\nname = \"slow\"\nsource = \"{}\"\n\
         [[route]]\nhost = \"spans.test\"\ncomponent = \"spans\"\n[[route]]\ncomponent = \"slow\"\n\
         [[case]]\nname = \"compared for long\"\nrequest = \"http://spans.test/many?count=4000\"\n\
         span = {{ children = [{}] }}\n\
         [[case]]\nname = \"slow\"\nrequest = \"/?ms=300&chunks=3&body_ms=300\"\nresponse = 200\ntimeout = \"2s\"\n",
        sources[0],
        sources[1],
        vec![other; 1600].join(", ")
    );
    let cases = Cases::new(&text);
    let exit = pounce()
        .command("test")
        .flag("--cases", cases.path.display())
        .env("TOKIO_WORKER_THREADS", 1)
        .run()
        .await;
    assert!(exit.stdout.contains("FAIL compared for long") && exit.stdout.contains("ok   slow"), "{exit}");
}

/// Several components in one file, and several files.
#[tokio::test]
async fn several_components_are_reached_by_their_routes() {
    let sources = ["hello", "calls"].map(|name| Abi::P2.guest(name).display().to_string());
    let text = format!(
        "[[component]]\nname = \"site\"\nsource = \"{}\"\n[[component]]\nname = \"shop\"\nsource = \"{}\"\n\
         [[route]]\npath = \"/shop/{{*rest}}\"\ncomponent = \"shop\"\n[[route]]\ncomponent = \"site\"\n\
         [[case]]\nname = \"site\"\nrequest = \"/\"\nresponse = {{ body = \"Hello*\" }}\n\
         span = {{ attributes = {{ \"pounce.component\" = \"site\" }}, children = [] }}\n\
         [[case]]\nname = \"shop\"\nrequest = \"/shop/a?url=http://a.test/\"\nresponse = 200\n\
         span = {{ name = \"GET /shop/{{*rest}}\", attributes = {{ \"pounce.component\" = \"shop\" }}, children = [\"GET\"] }}\n\
         [[case.mock]]\nrequest = \"*\"\n",
        sources[0], sources[1]
    );
    let cases = Cases::new(&text);
    let exit = pounce().command("test").flag("--cases", cases.path.display()).run().await;
    assert_eq!(exit.code, Some(0), "{exit}");

    let typed = Cases::new(
        "[[route]]\npath = \"/c\"\ncomponent = \"calls\"\n[[route]]\ncomponent = \"hello\"\n\
         [[case]]\nname = \"typed\"\nrequest = \"/\"\nresponse = { body = \"Hello*\" }\n",
    );
    let builder = pounce().command("test").component(Abi::P2.guest("hello")).arg(Abi::P2.guest("calls"));
    let exit = builder.flag("--cases", typed.path.display()).run().await;
    assert_eq!(exit.code, Some(0), "{exit}");

    let builder = pounce().command("test").component(Abi::P2.guest("hello"));
    let other = Cases::new(&super::case("response = 200"));
    let third = Cases::new(&super::case("response = 201"));
    let exit =
        builder.flag("--cases", other.path.display()).flag("--cases", third.path.display()).run().await;
    assert!(exit.code == Some(1) && exit.stdout.contains("1 of 2 cases failed"), "{exit}");
}

/// What the environment says of telemetry and of settings changes nothing, and nothing is sent.
#[tokio::test]
async fn a_case_means_the_same_everywhere() {
    let collector = crate::support::Collector::start().await;
    let cases =
        Cases::new(&super::case("span = { name = \"GET /\", attributes = { \"http.method\" = \"GET\" } }"));
    let builder = pounce().command("test").component(Abi::P2.guest("hello")).traced(&collector);
    let exit = builder
        .flag("--cases", cases.path.display())
        .env("OTEL_TRACES_SAMPLER", "always_off")
        .env("OTEL_SDK_DISABLED", "true")
        .env("OTEL_PROPAGATORS", "none")
        .env("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
        .env("POUNCE_MAX_MEMORY", "64KiB")
        .env("POUNCE_CONFIG", "/not/there")
        .run()
        .await;
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""), "{exit}");
    assert!(collector.received().is_empty());
}
