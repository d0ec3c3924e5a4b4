//! The case files of `tests/cases`: each is run with the guests of its name, of 0.2 and of 0.3 where there are both. A test
//! by each name keeps them apart, and the architecture test content.

use std::path::PathBuf;
use std::process::Command;

use super::Cases;
use crate::support::exit::Exit;
use crate::support::guest::{built, root};
use crate::support::pounce;

/// Runs the file of this name with the component.
async fn run(file: &str, stem: &str) {
    let path = root().join("tests/cases").join(format!("{file}.toml"));
    let exit = pounce().command("test").component(built(stem)).flag("--cases", path.display()).run().await;
    passed(&exit, stem);
}

fn passed(exit: &Exit, what: &str) {
    assert_eq!((exit.code, exit.stderr.as_str()), (Some(0), ""), "{what}\n{exit}");
    assert!(exit.stdout.contains(" passed in "), "{what}\n{exit}");
}

/// A test for each guest: both versions, or the one that there is.
macro_rules! files {
    ($($test:ident: $file:literal $(of $stem:literal)+;)*) => {
        $(#[tokio::test]
        async fn $test() {
            $(run($file, $stem).await;)+
        })*

        /// The names of the tested files.
        const FILES: &[&str] = &[$($file),*];
    };
}

files! {
    attributes: "attributes" of "attributes" of "attributes-p3";
    bodies: "bodies" of "bodies" of "bodies-p3";
    busy_loop: "busy-loop" of "busy-loop" of "busy-loop-p3";
    calls: "calls" of "calls" of "calls-p3";
    echo: "echo" of "echo" of "echo-p3";
    error_code: "error-code" of "error-code" of "error-code-p3";
    fails_js: "fails-js" of "fails-js";
    fails_py: "fails-py" of "fails-py";
    hello: "hello" of "hello" of "hello-p3";
    hello_js: "hello-js" of "hello-js";
    hello_py: "hello-py" of "hello-py";
    hello_small: "hello-small" of "hello-small";
    hog_memory: "hog-memory" of "hog-memory" of "hog-memory-p3";
    leave: "leave" of "leave" of "leave-p3";
    logging: "logging" of "logging" of "logging-p3";
    no_response: "no-response" of "no-response" of "no-response-p3";
    otel: "otel" of "otel" of "otel-p3";
    relay: "relay" of "relay" of "relay-p3";
    settings: "settings" of "settings" of "settings-p3";
    slow: "slow" of "slow" of "slow-p3";
    sockets: "sockets" of "sockets" of "sockets-p3";
    spans: "spans" of "spans" of "spans-p3";
    spans_js: "spans-js" of "spans-js";
    spans_py: "spans-py" of "spans-py";
    stdio: "stdio" of "stdio" of "stdio-p3";
    tally: "tally-p3" of "tally-p3";
    trap: "trap" of "trap" of "trap-p3";
    with_wstd: "with-wstd" of "with-wstd";
}

#[test]
fn every_file_is_run() {
    let found = std::fs::read_dir(root().join("tests/cases")).unwrap();
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut found: Vec<_> = found.map(|entry| stem(entry.unwrap().path())).collect();
    found.sort();
    assert_eq!(found, FILES);
}

/// Each example of docs/testing.md that is a file of its own, with the guest that the comment before it names.
#[tokio::test]
async fn the_examples_of_the_docs_pass() {
    let docs = std::fs::read_to_string(root().join("docs/testing.md")).unwrap();
    let mut count = 0;
    for part in docs.split("<!-- tested with ").skip(1) {
        let (stem, rest) = part.split_once(" -->").expect("the comment ends");
        let (_, rest) = rest.split_once("```toml\n").expect("an example follows");
        let (text, _) = rest.split_once("\n```").expect("the example ends");
        // Components are where the tests have them.
        let text = text.replace("\"target/", &format!("\"{}/guests/build/", root().display()));
        let cases = Cases::new(&text);
        let exit = if text.contains("[[component]]") {
            pounce().command("test").flag("--cases", cases.path.display()).run().await
        } else {
            cases.run(&built(stem)).await
        };
        passed(&exit, &format!("{stem}\n{text}"));
        count += 1;
    }
    assert!(count >= 5, "{count} examples");
}

/// The committed schema takes every case file and every example. Skipped, and said so, where Python lacks what it needs.
#[test]
fn the_schema_takes_all_files() {
    const CHECK: &str = "
import glob, json, re, sys
try:
    import jsonschema, tomllib
except ImportError as error:
    sys.exit(f'skipped: {error}')
schema = json.load(open('docs/cases.schema.json'))
jsonschema.Draft202012Validator.check_schema(schema)
texts = {path: open(path).read() for path in glob.glob('tests/cases/*.toml')}
found = re.findall(r'<!-- tested with .*? -->\\n```toml\\n(.*?)\\n```', open('docs/testing.md').read(), re.S)
texts.update({f'example {number}': text for number, text in enumerate(found)})
validator = jsonschema.Draft202012Validator(schema)
wrong = [f'{path}: {error.message}' for path, text in texts.items() for error in validator.iter_errors(tomllib.loads(text))]
refused = [\"[[case]]\\nname = 'a'\", \"case = 1\", \"[[case]]\\nname='a'\\nrequest='/'\\nspna='x'\", \"[[case]]\\nname='a'\\nrequest='/'\\nresponse=7\"]
wrong += [f'taken: {text}' for text in refused if validator.is_valid(tomllib.loads(text))]
assert len(texts) > 25 and not wrong, wrong
print('valid')";
    let check =
        Command::new("python3").args(["-c", CHECK]).current_dir(root()).output().expect("python3 is there");
    let (stdout, stderr) = (String::from_utf8_lossy(&check.stdout), String::from_utf8_lossy(&check.stderr));
    if stderr.starts_with("skipped: ") {
        return println!("{stderr}: `pip install jsonschema` adds it");
    }
    assert_eq!(stdout.trim(), "valid", "{stderr}");
}
