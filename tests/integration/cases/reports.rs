//! Reports that other programs read, and files that are updated.

use std::process::Command;

use serde_json::Value as Json;

use super::{Cases, case};
use crate::support::guest::built;

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
    assert_eq!(message, "what came is not what was expected");
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
    // Blocks of YAML, each closed.
    assert_eq!(exit.stdout.matches("\n  ---\n").count(), 2);
    assert_eq!(exit.stdout.matches("\n  ...\n").count(), 2);
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
    exit.expect(1, &["`/not/there/report` cannot be written"]);
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
