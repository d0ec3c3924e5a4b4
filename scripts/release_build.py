"""Builds the binary that is released, for scripts/dist.py and scripts/pgo.py. Both must build it in the same way, but for
the flags that are given: the compiler finds the counts of a profile again by names that depend on Cargo's profile."""

import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CARGO = os.environ.get("CARGO", "cargo")
# What scripts/pgo.py makes.
PROFILE = ROOT / "target/profile/pounce.profdata"


def said(*command, **settings):
    """What a command prints; the end of everything if it fails."""
    done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, cwd=ROOT, **settings)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(map(str, command))}` failed")
    return done.stdout


def host():
    """The target triple that the compiler is for."""
    return re.search(r"host: (\S+)", said("rustc", "-vV"))[1]


def build(flag, folder):
    """The path of the binary, built into the target directory `folder` with the compiler's `flag`; no path of this machine is
    named in it. Cargo's profile is $DIST_PROFILE, `release` by default."""
    profile = os.environ.get("DIST_PROFILE", "release")
    home = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
    remap = [f"--remap-path-prefix={ROOT}=/pounce", f"--remap-path-prefix={home}=/cargo"]
    flags = " ".join([os.environ.get("RUSTFLAGS", ""), *remap, flag]).strip()
    # With a target, the flags are not those of build scripts and macros.
    place = ["--target", host(), "--target-dir", folder]
    command = [CARGO, "build", "--locked", "--profile", profile, "--bin", "pounce", *place]
    for line in said(*command, "--message-format", "json-render-diagnostics", env={**os.environ, "RUSTFLAGS": flags}).splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "pounce":
            return pathlib.Path(message["executable"])
    sys.exit("Cargo has built no binary")


def optimised(profile=PROFILE):
    """The path of the binary that is released, built by this profile; that of scripts/pgo.py is made first where it is missing."""
    if profile == PROFILE and not profile.exists():
        subprocess.run([ROOT / "scripts/pgo.py"], check=True)
    if not profile.is_file():
        sys.exit(f"there is no profile {profile}")
    return build(f"-Cprofile-use={profile.resolve()}", ROOT / "target/dist/build")
