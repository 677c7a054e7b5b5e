# SPDX-License-Identifier: Apache-2.0
"""Files that clang-tidy judges as one. Nearly all that it costs is for the headers: eighteen files of one room take no more than one
of them alone. What each keeps to itself (anonymous namespaces) must not bear a name that another of the batch has as well.

A batch is one text, the files one behind the other, that is laid over the tree as a file beside the first of them: so the checks
of that directory hold for it, and the analyzer takes all of it for the main file.
"""
import bisect
import json
import pathlib
import re

MOST_LINES = 2500
# What is defined at the left margin: a type; a test, by both its names; else the name before what ends a declarator.
DEFINES = re.compile(r"(?:struct|class|union|enum(?: class)?|namespace|using)\s+(\w+)\b(?!::)"
                     r"|(?:TEST|TEST_F|TEST_P|INSTANTIATE_TEST_SUITE_P)\((\w+, \w+)"
                     r"|(?:BENCHMARK|static_assert|using)\b()"
                     r"|.*?\b([A-Za-z_]\w*)\s*(?:\[[^\]]*\]\s*)?[({=;]")


def private_names(text):
    """What a file defines for itself: in an anonymous namespace, or `static`, or as a test."""
    out, private = set(), False
    for line in text.splitlines():
        if line == "namespace {":
            private = True
        elif line == "}  // namespace":
            private = False
        elif private or line.startswith(("static ", "constexpr ", "const ", "TEST", "INSTANTIATE")):
            found = re.match(r"[A-Za-z_]", line) and DEFINES.match(line)
            if found:
                out.add(found[1] or found[2] or found[4])
    return out - {None, "http", "asio", "namespace"}  # an alias may stand twice


class Batch:
    """Some files of the same directory of checks and the same flags."""

    def __init__(self, names, read):
        self.names = names
        self._starts, lines, texts = [], 1, []
        for name in names:
            text = read(name)
            text = text if text.endswith("\n") else text + "\n"
            self._starts.append(lines)
            texts.append(text)
            lines += text.count("\n")
        self.text = "".join(texts)

    def halves(self, read):
        middle = len(self.names) // 2
        return [Batch(self.names[:middle], read), Batch(self.names[middle:], read)]

    def place_of(self, line):
        """File and line that a line of the text was."""
        at = bisect.bisect_right(self._starts, line) - 1
        return self.names[at], line - self._starts[at] + 1

    def write(self, root, directory, build, words):
        """The text, its place in the tree and its compile command, for clang-tidy. `words`: the first file's command, with all that the others include. Returns the
        options and the name of the file."""
        directory.mkdir()
        (directory / "text.cc").write_text(self.text)
        place = root / pathlib.Path(self.names[0]).parent / f"batch_of_{pathlib.Path(self.names[0]).name}"
        layer = {"version": 0, "use-external-names": False, "roots": [
            {"type": "directory", "name": str(place.parent), "contents": [
                {"type": "file", "name": place.name, "external-contents": str(directory / "text.cc")}]}]}
        (directory / "layer.json").write_text(json.dumps(layer))
        words = [str(place) if word.endswith("/" + self.names[0]) else word for word in words]
        (directory / "compile_commands.json").write_text(json.dumps(
            [{"directory": str(build), "file": str(place), "arguments": words}]))
        return ["-p", str(directory), "--vfsoverlay", str(directory / "layer.json"), str(place)]

    def named(self, said):
        """What clang-tidy said, with the files' own names and lines."""
        def right(found):
            name, line = self.place_of(int(found[1]))
            return f"{name}:{line}"
        return re.sub(rf"\S*batch_of_{re.escape(pathlib.Path(self.names[0]).name)}:(\d+)", right, said)


def batches(names, read, kind_of):
    """Batches of all `names`, which stay in their order where they can. Files of different kinds never meet."""
    open_by_kind, out = {}, []
    for name in names:
        text = read(name)
        lines, private = text.count("\n"), private_names(text)
        of_kind = open_by_kind.setdefault(kind_of(name), [])
        for one in of_kind:
            if one["lines"] + lines <= MOST_LINES and not one["private"] & private:
                break
        else:
            one = {"names": [], "lines": 0, "private": set()}
            of_kind.append(one)
            out.append(one)
        one["names"].append(name)
        one["lines"] += lines
        one["private"] |= private
    return [Batch(one["names"], read) for one in out]
