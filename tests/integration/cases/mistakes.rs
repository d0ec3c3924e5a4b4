//! What is wrong with a file, the command line or the component is told at once, and nothing runs.

use super::{Cases, case};
use crate::support::guest::{built, fixture};
use crate::support::pounce;

#[tokio::test]
async fn all_mistakes_of_a_file_are_told_in_its_order() {
    let text = "[http]\nrequest-timeuot = \"1s\"\n[[case]]\nname = \"a\"\nreqeust = \"GET /\"\n[caes]\n[guest]\nreuse = 0\n";
    let cases = Cases::new(text);
    let exit = cases.run(&built("hello")).await;
    exit.expect(
        2,
        &[
            "request-timeout",
            "did you mean `request`",
            "add what is asked",
            "[[case]]",
            "set it to a number from 1",
        ],
    );
    let lines: Vec<_> =
        exit.stderr.lines().filter_map(|line| line.split("cases.toml:").nth(1)?.split(':').next()).collect();
    assert!(lines.len() >= 5 && lines.is_sorted(), "{lines:?}\n{exit}");
    assert_eq!(exit.stdout, "");
}

#[tokio::test]
async fn what_is_no_toml_is_told_once() {
    let exit = Cases::new("[[case]\nname = 1\n").run(&built("hello")).await;
    exit.expect(2, &["is not TOML here"]);
    assert_eq!(exit.stderr.matches("error:").count(), exit.stderr.matches("tip:").count(), "{exit}");
}

#[tokio::test]
async fn a_file_or_a_component_that_is_not_there() {
    let run = |component: Option<&str>, cases: &str| {
        let builder = pounce().command("test").flag("--cases", cases);
        component.map_or_else(
            || builder,
            |component| pounce().command("test").component(component).flag("--cases", cases),
        )
    };
    run(Some("hello.wasm"), "/not/there.toml")
        .run()
        .await
        .expect(2, &["/not/there.toml", "check the path of --cases"]);
    let cases = Cases::new(&case("response = 200"));
    let path = cases.path.display().to_string();
    run(None, &path).run().await.expect(2, &["there is no component to test", "pounce test app.wasm"]);
    run(Some("/not/there.wasm"), &path).run().await.expect(2, &["/not/there.wasm"]);
    cases.run(&fixture("core-module.wat")).await.expect(2, &["component"]);
    pounce().command("test").component("hello.wasm").run().await.expect(2, &["--cases"]);
}

#[tokio::test]
async fn a_filter_that_nothing_matches_is_a_mistake() {
    let text = case("response = 200") + &case("response = 500").replace("\"a\"", "\"b\"");
    let cases = Cases::new(&text);
    cases.run_with(&built("hello"), &["--filter", "c*"]).await.expect(2, &["no case is called `c*`"]);
    let exit = cases.run_with(&built("hello"), &["--filter", "a"]).await;
    assert!(exit.code == Some(0) && exit.stdout.contains("1 case passed"), "{exit}");
}

/// What the environment has changes nothing.
#[tokio::test]
async fn a_variable_of_the_environment_is_no_setting_of_a_case() {
    let cases = Cases::new(&("[guest]\nenv = [\"HOME_MARK\"]\n".to_owned() + &case("response = 200")));
    let builder = pounce().command("test").component(built("hello")).flag("--cases", cases.path.display());
    builder
        .env("HOME_MARK", "x")
        .run()
        .await
        .expect(2, &["cases.toml:2:", "which is not asked here", "write HOME_MARK=VALUE or HOME_MARK=@FILE"]);
    let cases = Cases::new("timout = \"1s\"\nlinger = \"x\"\n[[case]]\nname = \"a\"\nrequest = \"/\"\n");
    let exit = cases.run(&built("hello")).await;
    exit.expect(2, &["did you mean `timeout`?", "linger"]);
    assert!(!exit.stderr.contains("none"), "{exit}");
}

#[tokio::test]
async fn components_without_a_route_are_told_of_the_table() {
    let component =
        |name: &str| format!("[[component]]\nname = \"{name}\"\nsource = \"{}\"\n", built("hello").display());
    let cases = Cases::new(&(component("one") + &component("two") + &case("response = 200")));
    let exit = pounce().command("test").flag("--cases", cases.path.display()).run().await;
    exit.expect(2, &["no route leads to", "[[route]] with path = \"/path/{*rest}\" and component = \"one\""]);
    assert!(!exit.stderr.contains("--route"), "{exit}");
}

/// To open a pipe would wait for whoever writes into it.
#[tokio::test]
async fn a_body_is_a_regular_file() {
    let cases = Cases::new(&case("response = { body-file = \"pipe\" }"));
    let pipe = cases.path.with_file_name("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is there");
    assert!(made.success());
    cases.run(&built("hello")).await.expect(2, &["pipe` is no regular file", "that holds the body's bytes"]);
}

#[tokio::test]
async fn whom_guests_may_call_is_said_by_pass_alone() {
    let text = "[guest]\nallow-outbound = [\"*\"]\n".to_owned() + &case("response = 200");
    Cases::new(&text)
        .run(&built("hello"))
        .await
        .expect(2, &["guest.allow-outbound has no effect here", "`pass`"]);
}
