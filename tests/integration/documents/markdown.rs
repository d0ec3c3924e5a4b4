//! What the tests see of a page: its fences with the comments before them, its headings, links and code.

use std::path::{Path, PathBuf};

use crate::support::guest::root;

/// A file of Markdown.
pub(super) struct Page {
    /// From the repository's root.
    pub(super) path: PathBuf,
    /// Lines outside fences and comments, with their numbers from 1.
    pub(super) prose: Vec<(usize, String)>,
    pub(super) fences: Vec<Fence>,
}

/// Code between lines of three backticks.
#[derive(Default)]
pub(super) struct Fence {
    /// Number of its first line, from 1.
    pub(super) line: usize,
    pub(super) language: String,
    pub(super) lines: Vec<String>,
    /// Comments of a line each right before it.
    comments: Vec<String>,
}

impl Fence {
    /// What a comment `<!-- KEY: VALUE -->` before it says.
    pub(super) fn said(&self, key: &str) -> Option<&str> {
        self.comments.iter().find_map(|comment| comment.strip_prefix(key)?.strip_prefix(": "))
    }

    /// Whether it is a file of cases, which `cases::files` runs.
    pub(super) fn is_case_file(&self) -> bool {
        self.comments.iter().any(|comment| comment.starts_with("tested with "))
    }
}

impl Page {
    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        let mut page = Self { path, prose: Vec::new(), fences: Vec::new() };
        let (mut open, mut comments) = (None::<Fence>, Vec::new());
        for (number, line) in (1..).zip(text.lines()) {
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (Some(fence), None) => fence.lines.push(line.to_owned()),
                (Some(_), Some(_)) => page.fences.extend(open.take()),
                (None, Some(language)) => {
                    let comments = std::mem::take(&mut comments);
                    open = Some(Fence {
                        line: number,
                        language: language.to_owned(),
                        comments,
                        ..Fence::default()
                    });
                }
                (None, None) => match line.strip_prefix("<!-- ").and_then(|line| line.strip_suffix(" -->")) {
                    Some(comment) => comments.push(comment.to_owned()),
                    None => {
                        comments.clear();
                        page.prose.push((number, line.to_owned()));
                    }
                },
            }
        }
        assert!(open.is_none(), "{}: a fence does not end", page.path.display());
        page
    }

    /// Anchors of its headings, as GitHub and mdBook make them.
    pub(super) fn anchors(&self) -> Vec<String> {
        let headings = self.prose.iter().filter(|(_, line)| line.starts_with('#'));
        headings.map(|(_, line)| anchor(line.trim_start_matches('#'))).collect()
    }

    /// The words of the last heading above a line; none of a page that begins without one.
    pub(super) fn heading_above(&self, line: usize) -> &str {
        let headings = self.prose.iter().filter(|(_, line)| line.starts_with('#'));
        let above = headings.take_while(|(number, _)| *number < line).last();
        above.map_or("", |(_, heading)| heading.trim_start_matches('#').trim())
    }

    /// Where its links and images lead, with the number of the line.
    pub(super) fn links(&self) -> impl Iterator<Item = (usize, &str)> {
        self.prose.iter().flat_map(|(number, line)| {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            targets.map(|(target, _)| (*number, target))
        })
    }

    /// What stands between backticks, also where it goes on in the next line.
    pub(super) fn code(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let mut open = None::<(usize, String)>;
        for (number, line) in &self.prose {
            // What is open at the end of a paragraph was never code.
            if line.is_empty() || line.starts_with('|') {
                open = None;
            }
            for (at, part) in line.split('`').enumerate() {
                if at > 0 {
                    match open.take() {
                        Some(code) => found.push(code),
                        None => open = Some((*number, String::new())),
                    }
                }
                if let Some((_, code)) = &mut open {
                    if !code.is_empty() {
                        code.push(' ');
                    }
                    code.push_str(part.trim());
                }
            }
        }
        found
    }
}

fn anchor(heading: &str) -> String {
    let kept = |character: char| match character {
        ' ' => Some('-'),
        '-' | '_' => Some(character),
        _ => character.is_alphanumeric().then_some(character),
    };
    heading.trim().to_lowercase().chars().filter_map(kept).collect()
}

/// All pages of the repository: README, CONTRIBUTING, CHANGELOG, docs, and the READMEs of folders.
pub(super) fn pages() -> Vec<Page> {
    let mut paths = Vec::new();
    find(Path::new(""), &mut paths);
    paths.sort();
    assert!(paths.len() > 30, "{paths:?}");
    paths.into_iter().map(Page::read).collect()
}

/// Pages below a folder. Links are left out (what they lead to is a page where it is), and so is what tools make.
fn find(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = folder.join(&name);
        let kind = entry.file_type().unwrap();
        if kind.is_dir() && !name.starts_with('.') && !matches!(&*name, "target" | "node_modules") {
            find(&path, paths);
        } else if kind.is_file() && name.ends_with(".md") {
            paths.push(path);
        }
    }
}
