#!/usr/bin/env python3
"""Makes a site of docs/ in target/docs by mdBook, and checks its links (make docs).

Pages link to files of the repository that are outside of docs/. These are copied into the site, Markdown as pages of its
last part, everything else as it is, and links lead to the copies.
"""

import posixpath
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "target/docs-source"
SITE = ROOT / "target/docs"
# Where copies are within the site.
COPIES = "repository"
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def place(path):
    """Where a file of the repository is in the source of the book."""
    # What mdBook makes of a README is called so, but not in links to it.
    path = re.sub(r"(^|/)README\.md$", r"\1index.md", path)
    return path.removeprefix("docs/") if path.startswith("docs/") else f"{COPIES}/{path}"


def page_of(path):
    """The file that a link to `path` means: a folder's README, or a list of what is in it."""
    if not (ROOT / path).is_dir():
        return path
    return f"{path}/README.md" if (ROOT / path / "README.md").exists() else f"{path}/index.md"


def text_of(path):
    file = ROOT / path
    if file.exists():
        return file.read_text()
    folder = posixpath.dirname(path)
    listed = subprocess.run(["git", "ls-files", "--", folder], cwd=ROOT, check=True, capture_output=True, text=True)
    names = [name.removeprefix(f"{folder}/") for name in listed.stdout.splitlines()]
    return f"# {folder}\n\n" + "".join(f"- `{name}`\n" for name in names)


def rewritten(path, text, found):
    """The text of a page with links to where their files are in the book; adds the files to `found`."""

    def link(match):
        target = match[2]
        if re.match(r"[a-z]+:", target):
            return match[0]
        path_of_target = page_of(posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))
        found.append(path_of_target)
        to = posixpath.relpath(place(path_of_target), posixpath.dirname(place(path)) or ".")
        return f"{match[1]}{to}{match[3]}"

    # What is in a fence stays.
    parts = FENCE.split(text)
    return "".join(part if at % 2 else LINK.sub(link, part) for at, part in enumerate(parts))


def stage():
    """Fills target/docs-source."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    todo = [f"docs/{file.name}" for file in sorted((ROOT / "docs").iterdir())]
    seen, chapters = set(), []
    while todo:
        path = todo.pop(0)
        if path in seen:
            continue
        seen.add(path)
        to = SOURCE / place(path)
        to.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".md"):
            to.write_text(rewritten(path, text_of(path), todo))
            if not path.startswith("docs/"):
                chapters.append(path)
        else:
            shutil.copyfile(ROOT / path, to)
    with (SOURCE / "SUMMARY.md").open("a") as summary:
        summary.write("\n# The repository\n\n")
        summary.writelines(f"- [{path}]({place(path)})\n" for path in sorted(chapters))


class Page(HTMLParser):
    """The ids of a page, and what it links to."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            self.ids.add(attributes["id"])
        for name in ("href", "src"):
            if attributes.get(name):
                self.links.append(attributes[name])


def broken():
    """Links of the site that lead nowhere."""
    pages = {file: Page(file.read_text()) for file in SITE.rglob("*.html")}
    for file, page in pages.items():
        # Made of all pages, for printing; mdBook's own.
        if file.name in ("print.html", "404.html", "toc.html"):
            continue
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (file.parent / path).resolve() if path else file
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                yield f"{file.relative_to(SITE)}: {link} is not there"
            elif anchor and target in pages and anchor not in pages[target].ids:
                yield f"{file.relative_to(SITE)}: {link} has no such heading"


def main():
    mdbook = subprocess.run(
        ["bash", "-c", "source scripts/tools.sh && mdbook >&2 && echo $tool"],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout.strip()
    stage()
    shutil.rmtree(SITE, ignore_errors=True)
    subprocess.run([mdbook, "build", str(ROOT)], check=True)
    faults = list(broken())
    for fault in faults:
        print(fault, file=sys.stderr)
    pages = sum(1 for _ in SITE.rglob("*.html"))
    print(f"{pages} pages, {len(faults)} broken links: {SITE}/index.html")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
