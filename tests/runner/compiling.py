# SPDX-License-Identifier: Apache-2.0
"""Configuring and compiling, the same for tests/run and the demo, so that each finds in the compiler cache what the other
left, from any clone."""
import os
import pathlib
import re
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ["dataplane/sluice-dataplane", "controlplane/sluice-control", "controlplane/sluicectl"]
PROGRESS = re.compile(r"^\[(\d+)/(\d+)\] ")
# From here on what is done says something of what is left.
ENOUGH_TO_JUDGE = 0.05


def environment(compiler="g++"):
    """What configuring and compiling need: the cache, told that precompiled headers and another clone's folder change
    nothing, and the quick linker."""
    out = dict(os.environ)
    out["CXX"] = f"ccache {compiler}" if shutil.which("ccache") else compiler
    out["CCACHE_SLOPPINESS"] = "pch_defines,time_macros"
    out["CCACHE_NOHASHDIR"] = "1"
    if shutil.which("mold"):
        out["CXX_LD"] = "mold"
    return out


def configure_command(directory, options=()):
    """The command that makes a build directory, or None if it is there."""
    return None if (ROOT / directory / "build.ninja").exists() else ["meson", "setup", str(directory), *options]


def parse_progress(line):
    """(12, 170) of "[12/170] Compiling ..."; None for any other line."""
    found = PROGRESS.match(line)
    return (int(found[1]), int(found[2])) if found else None


def left_text(done, total, elapsed_s):
    """How long it still takes if the rest goes as what is done: in halves of minutes, as it is no better known."""
    if not total or done / total < ENOUGH_TO_JUDGE:
        return ""
    left_s = elapsed_s / done * (total - done)
    if left_s < 45:
        return "less than a minute left" if done < total else ""
    halves = round(left_s / 30)
    whole = f"{halves // 2}{'½' if halves % 2 else ''}"
    return f"about {whole} minute{'s' if halves > 2 else ''} left"


def compile_with_progress(directory, targets, tell):
    """Runs ninja; calls tell(done, total, words) as it goes. Returns None, or what ninja said if it failed."""
    begun = time.monotonic()
    said = []
    process = subprocess.Popen(["ninja", "-C", str(directory), *targets], cwd=ROOT, env={**environment(), "NINJA_STATUS": "[%f/%t] "},
                               text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in process.stdout:
        said.append(line)
        progress = parse_progress(line)
        if progress:
            tell(*progress, left_text(*progress, time.monotonic() - begun))
    return None if process.wait() == 0 else "".join(said[-25:])
