# SPDX-License-Identifier: Apache-2.0
"""Who includes whom, from the #include lines of the project's own files: for what a change touches, and for what a file's
verdict depends on."""
import re

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


class Includes:
    """The graph over `files`, names from the root of the project; `read(name)` gives a file's text."""

    def __init__(self, files, read):
        self._read = read
        self._files = set(files)
        self._direct = {}

    def direct(self, name):
        if name not in self._direct:
            folder = name.rpartition("/")[0]
            found = set()
            for written in INCLUDE.findall(self._read(name)):
                found |= {place for place in (written, f"{folder}/{written}") if place in self._files}
            self._direct[name] = found
        return self._direct[name]

    def closure(self, name):
        """The file itself and all of ours that it includes, at any depth."""
        seen, todo = {name}, [name]
        while todo:
            for other in self.direct(todo.pop()) - seen:
                seen.add(other)
                todo.append(other)
        return seen

    def touched(self, changed):
        """The files whose meaning may change with `changed`: those that include one of them or, as a .cc changes what its header
        promises, the header beside it."""
        causes = set(changed) | {f"{name[:-3]}.h" for name in changed if name.endswith(".cc")}
        return {name for name in self._files if self.closure(name) & causes}
