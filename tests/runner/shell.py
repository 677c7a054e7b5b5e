# SPDX-License-Identifier: Apache-2.0
"""Commands, and the project's files as git knows them."""
import os
import subprocess

from .compiling import ROOT


def call(command, **changes):
    """Runs a command whose output the developer sees. Returns whether it succeeded."""
    return subprocess.run([str(word) for word in command], cwd=ROOT, env={**os.environ, **changes}).returncode == 0


def git(*words):
    """The lines that git answers with; none if it fails."""
    return subprocess.run(["git", *words], cwd=ROOT, text=True, capture_output=True).stdout.splitlines()


def tracked(*patterns):
    """Files of the project, whether committed yet or not."""
    return [name for name in git("ls-files", "-co", "--exclude-standard", "--", *patterns) if (ROOT / name).exists()]


def changed_since(revision):
    """Files that differ from a revision, committed or not, and new ones."""
    return sorted({*git("diff", "--name-only", revision), *git("ls-files", "-o", "--exclude-standard")})
