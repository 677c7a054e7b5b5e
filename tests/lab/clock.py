# SPDX-License-Identifier: Apache-2.0
"""A wall clock of a program's own, that a test sets forward and back while the program runs: see clock.c."""
import pathlib

from .shell import run

SOURCE = pathlib.Path(__file__).with_suffix(".c")


class Clock:
    """`env` is what the program has to be started with."""

    def __init__(self, directory):
        self._file = pathlib.Path(directory) / "clock"
        library = pathlib.Path(directory) / "clock.so"
        run("gcc", "-O1", "-shared", "-fPIC", "-o", library, SOURCE)
        self.set(0)
        self.env = {"LD_PRELOAD": str(library), "LAB_CLOCK": str(self._file)}

    def before(self, seconds):
        """Words before a command that is to see the clock so far behind."""
        path = self._file.with_name("clock-behind")
        path.write_text(f"{-seconds}\n")
        return ("env", f"LD_PRELOAD={self.env['LD_PRELOAD']}", f"LAB_CLOCK={path}")

    def set(self, seconds):
        """Ahead of the true time by so many seconds from now on; negative: behind."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds}\n")
        fresh.rename(self._file)
