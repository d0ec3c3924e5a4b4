//! Reports that other programs read, and files that are updated.

use std::process::Command;

use serde_json::Value as Json;

use super::{Cases, case};
use crate::support::guest::built;
use crate::support::pounce;

/// Three cases with names that want escaping, two of which fail.
fn three() -> Cases {
    let failing = |name: &str| format!("[[case]]\nname = {name}\nrequest = \"/\"\nresponse = 500\n");
    Cases::new(&(case("response = 200") + &failing(r#"'<b> & "c" # \d'"#) + &failing(r#""ä\u001b[2J""#)))
}

/// What Python's reader of XML makes of a report.
fn xml(text: &str) -> Json {
    const READ: &str = "
import json, sys, xml.etree.ElementTree as tree
root = tree.fromstring(sys.stdin.buffer.read())
suites = [dict(suite.attrib, cases=[dict(case.attrib, failure=[[f.get('message'), f.text] for f in case]) for case in suite]) for suite in root]
print(json.dumps(dict(root.attrib, suites=suites)))";
    let mut python = Command::new("python3")
        .args(["-c", READ])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3 is there");
    std::io::Write::write_all(&mut python.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[tokio::test]
async fn junit_is_xml_that_a_ci_can_read() {
    let cases = three();
    let exit = cases.run_with(&built("hello"), &["--format", "junit"]).await;
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(1), ""), "{exit}");
    let read = xml(&exit.stdout);
    assert_eq!((&read["tests"], &read["failures"], &read["errors"]), (&"3".into(), &"2".into(), &"0".into()));
    let suite = &read["suites"][0];
    assert_eq!(suite["name"], cases.path.display().to_string());
    let told = suite["cases"].as_array().unwrap();
    assert_eq!(
        (&told[0]["name"], &told[0]["line"], &told[0]["failure"]),
        (&"a".into(), &"1".into(), &Json::Array(Vec::new()))
    );
    assert_eq!(told[1]["name"], r#"<b> & "c" # \d"#);
    let [message, text] = &told[1]["failure"][0].as_array().unwrap()[..] else { panic!("{told:?}") };
    assert_eq!(message, "- status = 500");
    assert!(text.as_str().unwrap().contains("-   status = 500"), "{text}");
}

#[tokio::test]
async fn tap_has_a_line_for_each_case() {
    let cases = three();
    let exit = cases.run_with(&built("hello"), &["--format", "tap"]).await;
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(1), ""), "{exit}");
    let mut lines = exit.stdout.lines();
    assert_eq!([lines.next(), lines.next()], [Some("TAP version 13"), Some("1..3")]);
    let results: Vec<_> =
        exit.stdout.lines().filter(|line| line.contains("ok ") && !line.starts_with(' ')).collect();
    assert_eq!(results[..2], ["ok 1 - a", r#"not ok 2 - <b> & "c" \# \\d"#], "{exit}");
    assert!(results[2].starts_with("not ok 3 - ä") && !exit.stdout.contains('\u{1b}'), "{exit}");
    // Blocks of YAML, each closed, whose text may begin further in than it goes on.
    let blocks: Vec<_> = exit.stdout.split("\n  ---\n").skip(1).collect();
    assert_eq!((blocks.len(), exit.stdout.matches("\n  ...\n").count()), (2, 2));
    for block in blocks {
        let (_, text) = block.split_once("\n  diagnostic: |2\n").expect("says how far its text is in");
        let (text, _) = text.split_once("\n  ...\n").unwrap();
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with("    ")), "{text}");
        assert!(text.contains("-   status = 500"), "{text}");
    }
}

/// What is no part of a report does not stand in it.
#[tokio::test]
async fn a_report_on_standard_output_is_that_alone() {
    for (format, end) in [("junit", "</testsuites>\n"), ("tap", "ok 1 - a\n")] {
        let cases = Cases::new(&case("response = 201"));
        let exit = cases.run_with(&built("hello"), &["--format", format, "--update"]).await;
        let exit = if format == "tap" {
            // The second time all is as it came, and another case is filled in.
            std::fs::write(&cases.path, case("")).unwrap();
            cases.run_with(&built("hello"), &["--format", format, "--update"]).await
        } else {
            exit
        };
        assert!(exit.stdout.ends_with(end) && exit.stderr.contains("expects now what came"), "{exit}");
    }
}

/// A component that cannot be served costs the cases of its own file only.
#[tokio::test]
async fn a_component_that_cannot_be_served_leaves_the_other_files() {
    let serves = |component: std::path::PathBuf| {
        let component = format!("[[component]]\nname = \"c\"\nsource = \"{}\"\n", component.display());
        Cases::new(&(component + &case("response = 200")))
    };
    let (right, wrong) = (serves(built("hello")), serves(crate::support::guest::fixture("core-module.wat")));
    let run = async |format: &str| {
        let files = [&right, &wrong, &right];
        let builder = files
            .iter()
            .fold(pounce().command("test"), |builder, file| builder.flag("--cases", file.path.display()));
        let exit = builder.flag("--format", format).run().await;
        assert!(exit.code == Some(2) && exit.stderr.contains("error: "), "{exit}");
        exit.stdout
    };
    let read = xml(&run("junit").await);
    assert_eq!((&read["tests"], &read["failures"], &read["errors"]), (&"3".into(), &"0".into(), &"1".into()));
    assert_eq!(read["suites"][0]["cases"][0]["name"], "a");
    assert_eq!(read["suites"][1]["errors"], "1");
    assert_eq!(read["suites"][2]["cases"][0]["name"], "a");
    let tap = run("tap").await;
    let results: Vec<_> =
        tap.lines().filter(|line| line.starts_with("ok") || line.starts_with("not")).collect();
    assert_eq!(results, ["ok 1 - a", "not ok 2 - the component is served", "ok 3 - a"], "{tap}");
}

#[tokio::test]
async fn an_update_names_what_it_cannot_mend_and_keeps_line_ends() {
    let text = case("response = 201")
        + "[[case.mock]]\nrequest = \"http://a.test\"\n[[case]]\nname = \"b\"\nrequest = \"/\"\nresponse = 202";
    let cases = Cases::new(&text.replace('\n', "\r\n"));
    let exit = cases.run_with(&built("hello"), &["--update"]).await;
    assert!(exit.stdout.contains("but for what no update can mend in:\n  a (line 1)\n"), "{exit}");
    let expected = text.replace("201", "200").replace("202", "200");
    let came = cases.text();
    assert_eq!(came.replace("\r\n", "\n").matches("response = 200").count(), 2, "{came}");
    assert_eq!(came.matches('\n').count(), came.matches("\r\n").count());
    assert!(
        came.starts_with(&expected.split("[[case]]\nname = \"b\"").next().unwrap().replace('\n', "\r\n")),
        "{came}"
    );
    let exit = cases.run_with(&built("hello"), &["--update"]).await;
    assert!(exit.code == Some(1), "{exit}");
}

/// TOML has no null: what has one is written as JSON in quotes, and read again.
#[tokio::test]
async fn a_response_with_null_is_written() {
    let cases = Cases::new(
        "[[case]]\nname = \"a\"\nrequest = { method = \"POST\", path = \"/\", json = '{\"a\": null, \"b\": \"*\"}' }\n",
    );
    let exit = cases.run_with(&built("echo"), &["--update"]).await;
    assert_eq!(exit.code, Some(0), "{exit}");
    let text = cases.text();
    assert!(text.contains("status = 200") && text.contains("null"), "{text}");
    let exit = cases.run_with(&built("echo"), &["--update"]).await;
    assert!(exit.code == Some(0) && cases.text() == text, "{exit}\n{}", cases.text());
}

#[tokio::test]
async fn a_report_may_go_to_a_file_beside_the_lines() {
    let cases = three();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("junit.xml");
    let file_text = file.display().to_string();
    let args = ["--format", "junit", "--report", &file_text];
    let exit = cases.run_with(&built("hello"), &args).await;
    assert!(exit.stdout.contains("2 of 3 cases failed") && exit.stdout.starts_with("ok   a"), "{exit}");
    assert_eq!(xml(&std::fs::read_to_string(&file).unwrap())["tests"], "3");
    let exit = cases.run_with(&built("hello"), &["--report", "/not/there/report"]).await;
    exit.expect(2, &["`/not/there/report` cannot be written", "name a file in a folder that is there"]);
    assert_eq!(exit.stdout, "", "found before anything runs");
}

#[tokio::test]
async fn an_update_writes_what_came_and_leaves_the_rest() {
    let text = r#"# The shop's cases.

[[case]]
name = "right" # stays
request = "GET /parents"
response = "2xx"
span = { name = "GET *" }

[[case]]
name = "to be filled in"
request = "GET /parents"

[[case]]
# Not quite.
name = "wrong"
request = "GET /exceptions"
response = 404 # perhaps

[case.span]
name = "GET /exc*"
status = "error"

[[case.span.children]]
name = "gone"

[[case.span.children]]
name = "exceptions"
message = "first failure"
"#;
    let cases = Cases::new(text);
    let exit = cases.run_with(&built("spans"), &["--update"]).await;
    assert!(exit.code == Some(1) && exit.stdout.contains("expects now what came"), "{exit}");
    super::matches("updated", &cases.text());
    let before = cases.text();
    let exit = cases.run_with(&built("spans"), &["--update"]).await;
    assert!(exit.code == Some(0) && !exit.stdout.contains("expects now"), "{exit}");
    assert_eq!(cases.text(), before, "the second time there is nothing to do");
}
