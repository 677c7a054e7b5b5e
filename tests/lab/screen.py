# SPDX-License-Identifier: Apache-2.0
"""What a person sees: steps, a progress bar, a table. Colour and redrawing only on a terminal."""
import os
import sys
import time

GREEN, RED, YELLOW, CYAN, BOLD, DIM = "32", "31", "33", "36", "1", "2"


class Screen:
    def __init__(self, out=sys.stdout):
        self._out = out
        self._terminal = out.isatty()
        self._colour = self._terminal and "NO_COLOR" not in os.environ
        self._last_bar_s = 0.0
        self._bar_open = False
        self._bar_drawn = False  # since the last step began
        self._in_step = False

    def paint(self, text, *codes):
        return f"\033[{';'.join(codes)}m{text}\033[0m" if self._colour else str(text)

    def say(self, text=""):
        """A line; an open bar stays above it."""
        self.end_bar()
        print(text, file=self._out, flush=True)

    def step(self, title):
        """A context manager: the title, and when it is done its time."""
        return _Step(self, title)

    def bar(self, done, total, note="", width=32):
        """Draws the bar anew; where there is no terminal, a line every three seconds."""
        now = time.monotonic()
        if not self._terminal and now - self._last_bar_s < 3 and done < total:
            return
        if self._terminal and now - self._last_bar_s < 0.08 and done < total:
            return
        self._last_bar_s = now
        if not self._terminal and not self._bar_drawn and self._in_step:
            self._out.write("\n")
        full = width * done // max(total, 1)
        text = f"  {self.paint('█' * full, GREEN)}{self.paint('░' * (width - full), DIM)} {done:5}/{total}  {note}"
        self._out.write(f"\r\033[K{text}" if self._terminal else text + "\n")
        self._out.flush()
        self._bar_open = self._terminal
        self._bar_drawn = True

    def end_bar(self):
        if self._bar_open:
            self._out.write("\n")
            self._bar_open = False

    def enter_step(self):
        self._bar_drawn, self._in_step = False, True

    def leave_step(self):
        """Returns whether a bar was drawn in the step: it stands where the step's title was, and goes."""
        if self._bar_open:
            self._out.write("\r\033[K")
        self._bar_open = self._in_step = False
        return self._bar_drawn

    def table(self, header, rows, indent="  "):
        """Columns as wide as they need to be: the first to the left, figures to the right."""
        cells = [[str(cell) for cell in row] for row in [header, *rows]]
        widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
        for number, row in enumerate(cells):
            line = "  ".join(cell.ljust(width) if i == 0 or not _is_figure(rows, i) else cell.rjust(width)
                             for i, (cell, width) in enumerate(zip(row, widths)))
            self.say(indent + (self.paint(line, BOLD) if number == 0 else line))


def _is_figure(rows, column):
    return all(isinstance(row[column], (int, float)) for row in rows)


class _Step:
    def __init__(self, screen, title):
        self._screen = screen
        self._title = title

    def __enter__(self):
        self._began_s = time.monotonic()
        self._screen.enter_step()
        print(f"{self._screen.paint('▸', CYAN)} {self._title} ", end="", file=self._screen._out, flush=True)
        return self

    def __exit__(self, kind, error, trace):
        if self._screen.leave_step():
            print(f"{self._screen.paint('▸', CYAN)} {self._title} ", end="", file=self._screen._out, flush=True)
        passed = f"{time.monotonic() - self._began_s:.1f} s"
        mark = self._screen.paint("failed", RED) if kind else self._screen.paint("ok", GREEN)
        self._screen.say(f"{'.' * max(58 - len(self._title), 3)} {mark} {self._screen.paint(passed, DIM)}")
