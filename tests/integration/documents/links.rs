//! Where links lead, which pages the book has, and how wide prose is.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::markdown::{Page, pages};
use super::none;
use crate::support::guest::root;

/// The widest line of prose, in characters.
const WIDEST: usize = 100;

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    let anchors: BTreeMap<&Path, Vec<String>> =
        pages.iter().map(|page| (&*page.path, page.anchors())).collect();
    let mut count = 0;
    let mut faults = Vec::new();
    for page in &pages {
        for (line, link) in page.links().filter(|(_, link)| !link.contains("://")) {
            count += 1;
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.path.clone(),
                _ => normal(&page.path.parent().unwrap().join(path)),
            };
            let known = anchors.get(&*target);
            if !root().join(&target).exists() {
                faults.push(format!("{}:{line}: {link}: no such file", page.path.display()));
            } else if !heading.is_empty()
                && !known.is_some_and(|known| known.iter().any(|one| one == heading))
            {
                faults.push(format!("{}:{line}: {link}: no such heading", page.path.display()));
            }
        }
    }
    assert!(count > 200, "{count} links");
    none("links that lead nowhere", &faults);
}

fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => assert!(out.pop(), "{} leaves the repository", path.display()),
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

#[test]
fn the_book_has_every_page_once() {
    let pages = pages();
    let summary = pages.iter().find(|page| page.path == Path::new("docs/SUMMARY.md")).unwrap();
    let mut listed: Vec<_> = summary.links().map(|(_, link)| Path::new("docs").join(link)).collect();
    let in_docs = |page: &&Page| page.path.starts_with("docs") && page.path != summary.path;
    let mut found: Vec<_> = pages.iter().filter(in_docs).map(|page| page.path.clone()).collect();
    listed.sort();
    found.sort();
    assert_eq!(listed, found, "docs/SUMMARY.md, and what is in docs");
}

/// Tables, code, and words that cannot be broken are exempt.
#[test]
fn prose_is_within_100_columns() {
    let mut faults = Vec::new();
    for page in pages() {
        for (number, line) in &page.prose {
            let words = line.split_whitespace().filter(|word| word.len() > 1).count();
            if line.chars().count() > WIDEST && !line.trim_start().starts_with('|') && words > 1 {
                faults.push(format!("{}:{number}: {} columns", page.path.display(), line.chars().count()));
            }
        }
    }
    none("lines that are too wide", &faults);
}
