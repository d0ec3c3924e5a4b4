#!/usr/bin/env python3
"""Packs what is released: one archive that is unpacked where programs are installed.

    scripts/dist.py [--profile FILE | --binary FILE] [--out DIR]      make dist

Builds the binary (Cargo's profile $DIST_PROFILE, `release` by default: fat LTO wants 4 GiB of memory and a quarter of an hour
of two processors), optimised by the profile of a server under load that scripts/pgo.py makes (PGO); strips it, and packs it
with completions, man pages, the files of ops/, the licences of all that is linked into it, and a bill of materials
(CycloneDX). Beside the archive lie the profile and SHA256SUMS. The same commit, toolchain and profile give the same archive,
byte by byte. What a dependency has no licence text for is named.

    --profile FILE  the profile (target/profile/pounce.profdata, made first where it is missing)
    --binary FILE   packs this binary in place of building one
    --out DIR       where the archive goes (target/dist)

Exit status: 0 it is packed, 1 it is not.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

from release_build import CARGO, PROFILE, ROOT, host, optimised

# Files that hold the terms of a package, by the beginning of their names.
TERMS = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicen[cs]e)", re.I)
# The oldest systems of each C library that are in support, for people who look whether theirs is among them.
SYSTEMS = [
    ((2, 31), "Debian 11, Ubuntu 20.04"),
    ((2, 34), "RHEL 9, Amazon Linux 2023"),
    ((2, 35), "Ubuntu 22.04"),
    ((2, 36), "Debian 12"),
    ((2, 39), "Ubuntu 24.04, RHEL 10"),
    ((2, 41), "Debian 13"),
]
SHELLS = {
    "bash": "share/bash-completion/completions/pounce",
    "zsh": "share/zsh/site-functions/_pounce",
    "fish": "share/fish/vendor_completions.d/pounce.fish",
    "elvish": "share/elvish/lib/pounce.elv",
    "powershell": "share/powershell/pounce.ps1",
}
DOCUMENTS = ["LICENSE", "README.md", "CHANGELOG.md", "pounce.example.toml"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--profile", type=pathlib.Path, default=PROFILE)
    source.add_argument("--binary", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target/dist")
    arguments = parser.parse_args()

    target = host()
    binary = arguments.binary or optimised(arguments.profile)
    packages, root = linked(target)
    name = f"pounce-{root['version']}-{target}"
    with tempfile.TemporaryDirectory() as folder:
        tree = pathlib.Path(folder) / name
        program = tree / "bin/pounce"
        program.parent.mkdir(parents=True)
        shutil.copyfile(binary, program)
        program.chmod(0o755)
        before = program.stat().st_size
        run("strip", "--strip-all", str(program))
        glibc = needed_glibc(program)
        fill(tree, program)
        nameless = licences(packages, tree / "share/doc/pounce/LICENSES-OF-DEPENDENCIES.txt")
        bill = tree / "share/doc/pounce/pounce.cdx.json"
        bill.write_text(bill_of_materials(packages, root, target))
        arguments.out.mkdir(parents=True, exist_ok=True)
        archive = arguments.out / f"{name}.tar.gz"
        pack(tree, archive)
        beside = arguments.out / f"{name}.cdx.json"
        shutil.copyfile(bill, beside)
        released = [archive, beside]
        if not arguments.binary:
            released.append(arguments.out / f"{name}.profdata")
            shutil.copyfile(arguments.profile, released[-1])
        size = program.stat().st_size
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in released]
    (arguments.out / "SHA256SUMS").write_text("".join(sums))

    def mib(size):
        return f"{size / 2**20:.1f} MiB"

    print(f"{archive}: {mib(archive.stat().st_size)}; the binary is {mib(size)} (before it was stripped {mib(before)})")
    if glibc:
        runs = ", ".join(systems for version, systems in SYSTEMS if version >= glibc) or "none that this script knows"
        print(f"It needs glibc {'.'.join(map(str, glibc))} or later: {runs}, and what is newer")
    else:
        print("It needs no C library")
    print(f"{len(packages)} packages are linked into it; without a licence text of their own: {', '.join(nameless) or 'none'}")
    print("To check and install it:")
    print(f"  cd {arguments.out} && sha256sum --check SHA256SUMS")
    print(f"  tar --extract --file {archive.name} --directory /usr/local --strip-components 1 --no-same-owner")


def run(*command, **settings):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, **settings)
    if done.returncode != 0:
        sys.exit(f"dist: `{' '.join(command)}` failed")
    return done.stdout


def linked(target):
    """The packages whose code is in the binary, by their ids, and the package of the binary itself."""
    command = [CARGO, "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    metadata = json.loads(run(*command, cwd=ROOT))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    found, waiting = {}, [root]
    while waiting:
        id = waiting.pop()
        if id in found:
            continue
        deps = [dep["pkg"] for dep in nodes[id]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        # What a procedural macro is made of runs in the compiler, and is in no binary.
        is_macro = any("proc-macro" in target["kind"] for target in packages[id]["targets"])
        found[id] = {**packages[id], "deps": [] if is_macro else deps}
        waiting.extend(found[id]["deps"])
    return found, packages[root]


def needed_glibc(program):
    """The newest version of glibc that the binary asks for; none if it asks for none."""
    said = run("readelf", "--version-info", "--wide", str(program))
    return max((tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_([\d.]+)", said)), default=None)


def fill(tree, program):
    for shell, place in SHELLS.items():
        write(tree / place, run(str(program), "completions", shell))
    manual = tree / "share/man/man1"
    manual.mkdir(parents=True)
    run(str(program), "man", str(manual))
    documents = tree / "share/doc/pounce"
    for name in DOCUMENTS:
        write(documents / name, (ROOT / name).read_text())
    shutil.copytree(ROOT / "ops", documents / "ops", ignore=shutil.ignore_patterns("*.test.yml"))


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def licences(packages, place):
    """Writes the terms of all packages, each text once; the names of those that come without."""
    texts, nameless = {}, []
    for package in sorted(packages.values(), key=lambda package: (package["name"], package["version"])):
        if package["source"] is None:
            continue
        name = f"{package['name']} {package['version']} ({package['license'] or 'see its text'})"
        folder = pathlib.Path(package["manifest_path"]).parent
        # A library in C has its own beside it.
        files = [path for depth in ("*", "*/*") for path in sorted(folder.glob(depth))]
        files = [path for path in files if path.is_file() and TERMS.match(path.name) and path.suffix not in (".rs", ".py")]
        for path in files:
            texts.setdefault(path.read_text(errors="replace").strip(), []).append(name)
        if not files:
            nameless.append(f"{package['name']} ({package['license']})")
    of_rust = pathlib.Path(run("rustc", "--print", "sysroot").strip()) / "share/doc/rust/COPYRIGHT-library.html"
    if of_rust.is_file():
        shutil.copyfile(of_rust, place.with_name("LICENSES-OF-RUST-STANDARD-LIBRARY.html"))
    else:
        nameless.append("the standard library of Rust (MIT OR Apache-2.0)")
    parts = ["What the binary `pounce` is made of beside Pounce itself, and on which terms.\n"]
    if nameless:
        what = "Packages that come without a text (that of Apache-2.0 is in LICENSE, exceptions to it stand below)"
        parts.append(f"{what}: {', '.join(nameless)}.\n")
    for text, names in sorted(texts.items(), key=lambda one: one[1]):
        parts.append(f"{'=' * 80}\n{chr(10).join(dict.fromkeys(names))}\n{'-' * 80}\n{text}\n")
    write(place, "\n".join(parts))
    return nameless


def bill_of_materials(packages, root, target):
    """All packages in the binary and what depends on what, as CycloneDX 1.6."""
    lock = (ROOT / "Cargo.lock").read_text()
    sums = {}
    for block in lock.split("[[package]]")[1:]:
        fields = dict(re.findall(r'^(name|version|checksum) = "(.*)"$', block, re.M))
        sums[fields["name"], fields["version"]] = fields.get("checksum")

    def reference(package):
        return f"pkg:cargo/{package['name']}@{package['version']}"

    def component(package, kind):
        told = {
            "type": kind,
            "bom-ref": reference(package),
            "name": package["name"],
            "version": package["version"],
            "purl": reference(package),
        }
        if package["license"]:
            told["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        if checksum := sums.get((package["name"], package["version"])):
            told["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        return told

    all_of_them = sorted(packages.values(), key=reference)
    told = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": component(root, "application"),
            "properties": [{"name": "cdx:rustc:target", "value": target}],
        },
        "components": [component(package, "library") for package in all_of_them if package["id"] != root["id"]],
        "dependencies": [
            {"ref": reference(package), "dependsOn": sorted({reference(packages[id]) for id in package["deps"]})}
            for package in all_of_them
        ],
    }
    return json.dumps(told, indent=1, sort_keys=True) + "\n"


def pack(tree, archive):
    """An archive of the tree that holds nothing of this machine or of now: times are the commit's, owners root."""
    made = os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct", cwd=ROOT).strip()

    def plain(info):
        info.mtime, info.uid, info.gid, info.uname, info.gname = int(made), 0, 0, "root", "root"
        info.mode = 0o755 if info.isdir() or info.name.endswith("/bin/pounce") else 0o644
        return info

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in [tree, *sorted(tree.rglob("*"))]:
            tar.add(path, path.relative_to(tree.parent), recursive=False, filter=plain)
    with open(archive, "wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as compressed:
        compressed.write(packed.getvalue())


main()
