//! Commands: run, or their flags read by the binary.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use super::markdown::{Fence, Page, pages};
use super::none;
use super::session::Session;
use crate::support::guest::root;

/// Pages at once.
const WORKERS: usize = 3;
/// A flag that no command has: with it each says all mistakes of its command line, and does nothing.
const STOP: &str = "--stop-here";

/// A command of a fence, with the lines that it prints.
struct Typed<'a> {
    line: usize,
    text: String,
    printed: &'a [String],
}

/// The commands of a fence, those that go on after a backslash joined.
fn commands(fence: &Fence) -> Vec<Typed<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < fence.lines.len() {
        let line = fence.line + 1 + at;
        let Some(first) = fence.lines[at].strip_prefix("$ ") else {
            at += 1;
            continue;
        };
        let mut text = first.to_owned();
        at += 1;
        while let Some(before) = text.strip_suffix('\\') {
            text = format!("{before}{}", fence.lines[at].trim_start());
            at += 1;
        }
        let length = fence.lines[at..].iter().take_while(|line| !line.starts_with("$ ")).count();
        found.push(Typed { line, text, printed: &fence.lines[at..at + length] });
    }
    found
}

#[test]
fn commands_of_the_pages_are_run() {
    let pages = pages();
    let (todo, faults, ran) = (Mutex::new(pages.iter()), Mutex::new(Vec::new()), Mutex::new(0));
    let next = || todo.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(page) = next() {
                    let (count, of_page) = run(page);
                    *ran.lock().unwrap() += count;
                    faults.lock().unwrap().extend(of_page);
                }
            });
        }
    });
    let is_left = |(_, fence): &(&Page, &Fence)| fence.said("not run").is_some();
    let left: Vec<_> = pages
        .iter()
        .flat_map(|page| page.fences.iter().map(move |fence| (page, fence)))
        .filter(is_left)
        .collect();
    let ran = ran.into_inner().unwrap();
    println!("{ran} commands run; not run: the commands of {} fences", left.len());
    for (page, fence) in left {
        println!("  {}:{}: {}", page.path.display(), fence.line, fence.said("not run").unwrap());
    }
    assert!(ran >= 25, "{ran} commands");
    none("commands that do not do what the page says", &faults.into_inner().unwrap());
}

/// Runs the commands of a page: how many, and what went wrong.
fn run(page: &Page) -> (usize, Vec<String>) {
    let mut session = None::<Session>;
    let (mut count, mut faults) = (0, Vec::new());
    for fence in &page.fences {
        let text = || fence.lines.join("\n") + "\n";
        let mut fault =
            |line: usize, what: &str| faults.push(format!("{}:{line}: {what}", page.path.display()));
        if let Some(name) = fence.said("file") {
            let path = session.get_or_insert_with(Session::new).path().join(name);
            std::fs::write(path, text()).unwrap();
        }
        if let Some(name) = fence.said("now") {
            let path = session.get_or_insert_with(Session::new).path().join(name);
            let found = std::fs::read_to_string(path).unwrap_or_default();
            if found != text() {
                fault(fence.line, &format!("{name} is now:\n{found}"));
            }
        }
        if fence.language != "console" || fence.said("not run").is_some() {
            continue;
        }
        let session = session.get_or_insert_with(Session::new);
        session.begin();
        for typed in commands(fence) {
            count += 1;
            if let Err(what) = session.run(&typed.text, typed.printed) {
                fault(typed.line, &format!("{}\n{what}", typed.text));
            }
        }
    }
    (count, faults)
}

/// Every `pounce …` of a page, in fences and in the text: the command exists, and so do its flags; where it is written out,
/// their values are right. Every `make …` has its target.
#[test]
fn commands_of_the_pages_exist() {
    let session = Session::new();
    let makefile = std::fs::read_to_string(root().join("Makefile")).unwrap();
    let has_target = |target: &str| makefile.lines().any(|line| line.starts_with(&format!("{target}:")));
    let (mut count, mut faults) = (0, Vec::new());
    let mut seen = BTreeSet::new();
    for page in pages() {
        for (line, text, is_whole) in written(&page) {
            let fault = match words(&text, is_whole).as_slice() {
                [make, target, ..] if make == "make" && !target.contains('=') => {
                    (!has_target(target)).then(|| format!("the Makefile has no {target}"))
                }
                [pounce, command, rest @ ..]
                    if pounce == "pounce"
                        && !command.starts_with('-')
                        && !rest.contains(&"--help".to_owned()) =>
                {
                    if !seen.insert((is_whole, text.clone())) {
                        continue;
                    }
                    count += 1;
                    understood(session.path(), command, rest, is_whole).err()
                }
                _ => continue,
            };
            faults.extend(fault.map(|fault| format!("{}:{line}: {text}\n{fault}", page.path.display())));
        }
    }
    println!("{count} commands exist, and so do their flags");
    assert!(count >= 60, "{count} commands");
    none("commands that do not exist", &faults);
}

/// Commands that stand in a page, and whether they are written out: with nothing left to put in.
fn written(page: &Page) -> Vec<(usize, String, bool)> {
    let mut found: Vec<_> = page.code().into_iter().map(|(line, text)| (line, text, false)).collect();
    for fence in &page.fences {
        found.extend(commands(fence).into_iter().map(|typed| (typed.line, typed.text, true)));
        let is_code = !matches!(&*fence.language, "console" | "toml" | "rust" | "js" | "python");
        let lines = (fence.line + 1..).zip(&fence.lines).filter(|_| is_code);
        found.extend(lines.map(|(line, text)| {
            let text = text.trim_start().trim_start_matches("- run: ");
            (line, text.trim_end_matches('\\').to_owned(), false)
        }));
    }
    found
}

/// The words of a command as a shell would have them, to its end or to what follows it.
fn words(command: &str, is_whole: bool) -> Vec<String> {
    let mut out = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for character in command.chars() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ') => out.extend(word.take()),
            (None, '#') if word.is_none() => break,
            _ => word.get_or_insert_default().push(character),
        }
    }
    out.extend(word);
    let is_end = |word: &String| matches!(&**word, "&&" | "|" | ";" | "&");
    let is_variable = |word: &String| {
        word.split_once('=')
            .is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'))
    };
    let words = out.into_iter().skip_while(is_variable).take_while(|word| !is_end(word));
    if is_whole {
        return words.collect();
    }
    // What a reader would put in.
    let put = |word: String| match &*word {
        "…" => None,
        "SHELL" => Some("bash".to_owned()),
        "LANG" => Some("rust".to_owned()),
        word => Some(word.split('|').next().unwrap_or(word).trim_end_matches('…').to_owned()),
    };
    words.filter_map(put).collect()
}

/// Has the binary read a command line that it must not obey.
fn understood(folder: &Path, command: &str, rest: &[String], is_whole: bool) -> Result<(), String> {
    let output = Command::new(env!("CARGO_BIN_EXE_pounce"))
        .arg(command)
        .args(rest)
        .arg(STOP)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let flaws = said.lines().filter(|line| {
        // Files that a page speaks of may be made by the command before.
        let is_flag =
            line.starts_with("error: --") && !line.contains(STOP) && !line.contains("can't be read");
        line.contains("unrecognized")
            || line.contains("invalid value")
            || is_flag && (is_whole || line.contains("unknown flag"))
    });
    let flaws: Vec<_> = flaws.collect();
    assert!(
        flaws.iter().any(|flaw| flaw.contains("unrecognized")) || said.contains(STOP),
        "{command} {rest:?}: {said}"
    );
    if flaws.is_empty() { Ok(()) } else { Err(flaws.join("\n")) }
}
