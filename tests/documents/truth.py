# SPDX-License-Identifier: Apache-2.0
"""What a document says that can be held against the tree: paths, links, commands, settings, counters. Each check yields
`PAGE:LINE: what is wrong`; what is code and what is prose is told apart by Markdown's own marks."""
import pathlib
import re
from dataclasses import dataclass, field

MODULES = ("dataplane", "controlplane", "healthcheck", "config")
SOURCE_SUFFIXES = {".h", ".cc", ".build"}  # of names without a directory
PATH = re.compile(r"[\w.*-]+(?:/[\w.*-]+)*/?")
SPAN = re.compile(r"(`+)(.+?)\1")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
PATHS_IN_SOURCE = re.compile(r"(?<![\w/.@{}\"-])((?:dataplane|controlplane|healthcheck|config|docs|tests|perf)/[\w/.-]+"
                             r"\.(?:h|cc|py|md|cfg|json|yml))\b")


@dataclass
class Page:
    """A Markdown file in its parts: (line number, text) of prose, of code spans, and of fenced blocks by language."""
    path: pathlib.Path
    name: str
    headings: list = field(default_factory=list)
    prose: list = field(default_factory=list)
    spans: list = field(default_factory=list)
    fenced: list = field(default_factory=list)  # (line number, language, text of the line)
    blocks: list = field(default_factory=list)  # (line number, language, text) of whole fenced blocks

    def fault(self, line, what):
        return f"{self.name}:{line}: {what}"

    def code(self):
        """Every piece of code, in a line or in a block."""
        yield from self.spans
        for line, _, text in self.fenced:
            yield line, text


def read_page(path, root):
    page = Page(path, str(path.relative_to(root)))
    fence = language = None
    for number, text in enumerate(path.read_text().splitlines(), 1):
        mark = re.match(r"\s*(```+)(\S*)", text)
        if mark and fence is None:
            fence, language = mark[1], mark[2]
            page.blocks.append((number, language, ""))
        elif mark and mark[1] == fence:
            fence = None
        elif fence is not None:
            page.fenced.append((number, language, text))
            page.blocks[-1] = (*page.blocks[-1][:2], page.blocks[-1][2] + text + "\n")
        else:
            heading = re.match(r"#{1,6}\s+(.*)", text)
            if heading:
                page.headings.append(heading[1])
            page.spans += [(number, match[2]) for match in SPAN.finditer(text)]
            page.prose.append((number, SPAN.sub(lambda match: "`" * len(match[0]), text)))
    return page


def pages_of(root):
    """Every Markdown file of the tree, but for what builds and caches have made."""
    return [read_page(path, root) for path in sorted(root.rglob("*.md"))
            if not any(part.startswith(("build", ".")) for part in path.relative_to(root).parts[:-1])]


class Tree:
    """Where a path that a page names may lie."""

    def __init__(self, root):
        self.root = root
        self.top = {path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(("build", ".git"))}
        self.rooms = {path.name for module in MODULES for path in (root / module).glob("*") if path.is_dir()}
        self.names = {path.name for top in self.top for path in (root / top).rglob("*") if path.is_file()}

    def looks_like_a_path(self, word):
        if not PATH.fullmatch(word) or word.startswith(("-", "..")):
            return False
        first, slash, rest = word.partition("/")
        if not slash:
            return pathlib.PurePath(word).suffix in SOURCE_SUFFIXES and not word.startswith((".", "*"))
        return first in self.top or (first in self.rooms and (not rest or "." in rest or "/" in rest))

    def has(self, word, page_directory):
        if "/" not in word:
            return word in self.names
        bases = [self.root, page_directory, *(self.root / module for module in MODULES)]
        return any(any(base.glob(word.rstrip("/"))) for base in bases)


def wrong_paths(page, tree):
    """Names of files and directories in code that are not there."""
    for line, text in page.code():
        for word in text.split():
            word = word.strip(",;:()'\"")
            if tree.looks_like_a_path(word) and not tree.has(word, page.path.parent):
                yield page.fault(line, f"no such file: {word}")


def wrong_paths_of_source(path, tree):
    """The same of a source file's comments, which name files by their whole path."""
    for line, text in enumerate(path.read_text().splitlines(), 1):
        for match in PATHS_IN_SOURCE.finditer(text):
            if not (tree.root / match[1]).exists():
                yield f"{path.relative_to(tree.root)}:{line}: no such file: {match[1]}"


def wrong_paths_of_charter(path, tree):
    """The same of the comment that heads a meson.build."""
    for line, text in enumerate(path.read_text().splitlines(), 1):
        if not text.startswith("#"):
            return
        for word in text.strip("# ").split():
            word = word.strip(",;:().`")
            if "/" in word and tree.looks_like_a_path(word) and not tree.has(word, path.parent):
                yield f"{path.relative_to(tree.root)}:{line}: no such file: {word}"


def anchors(page):
    """Anchors of a page's headings, as GitHub makes them."""
    found = []
    for heading in page.headings:
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        found.append(f"{slug}-{found.count(slug)}" if slug in found else slug)
    return found


def wrong_links(page, pages):
    """Relative links to files that are not there, and to headings that no page has."""
    by_path = {other.path.resolve(): other for other in pages}
    for line, text in page.prose:
        for target in LINK.findall(text):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            path = (page.path.parent / name).resolve() if name else page.path.resolve()
            if not path.exists():
                yield page.fault(line, f"no such file: {target}")
            elif anchor and (path not in by_path or anchor not in anchors(by_path[path])):
                yield page.fault(line, f"no such heading: {target}")


def commands_of(root):
    """The subcommands in sluicectl's table."""
    texts = (path.read_text() for path in sorted((root / "controlplane/ctl/commands").glob("*.cc")))
    return {name for text in texts for name in re.findall(r'return\s*\{\s*\.name = "([a-z][a-z-]*)"', text)}


def wrong_commands(page, commands):
    for line, text in page.code():
        for name in re.findall(r"(?<![\w/-])sluicectl (?:--(?:config|socket) \S+ |--json )*([a-z][a-z-]*)", text):
            if name not in commands:
                yield page.fault(line, f"sluicectl has no command {name}")


def wrong_options(page, options):
    """`options`: those of each command."""
    for line, text in page.code():
        for name, rest in re.findall(r"(?<![\w/-])sluicectl ([a-z][a-z-]*)([^|;#]*)", text):
            for option in re.findall(r"(?<![\w-])--[a-z0-9-]+", rest):
                if option not in options.get(name, set()) | {"--json"}:
                    yield page.fault(line, f"sluicectl {name} has no {option}")


def settings_of(root):
    """Full names of all settings, such as `pools[].name`, and those of a mail server that registers itself, `register.wait`."""
    registers = re.findall(r"^([a-z_]+) = ", (root / "config/examples/register.conf").read_text(), re.MULTILINE)
    return {*re.findall(r"^\| `([^`]+)` \|", (root / "config/REFERENCE.md").read_text(), re.MULTILINE),
            *(f"register.{name}" for name in registers)}


def wrong_settings(page, settings):
    """Settings by their full names, and `NAME = ...` in pieces of a configuration file."""
    full = {name.replace("[]", "").replace(".NAME", "") for name in settings}
    leaves = {name.rpartition(".")[2] for name in full}
    sections = {name for name in full if "." not in name}
    for line, text in page.spans:
        match = re.fullmatch(r"([a-z_]+)((?:\[\]|\.NAME)?(?:\.[a-z_]+(?:\[\])?)+)", text)
        if match and match[1] in sections and text.replace("[]", "").replace(".NAME", "") not in full:
            yield page.fault(line, f"no such setting: {text}")
    pieces = [(line, text) for line, text in page.spans if re.match(r"[a-z_]+ = ", text)]
    pieces += [(line, text.split("//")[0]) for line, language, text in page.fenced if language == ""]
    for line, text in pieces:
        for name in re.findall(r"(?:^|[{(;,\s])([a-z_]+)\s+= ", re.sub(r'"[^"]*"', '""', text)):
            if name not in leaves:
                yield page.fault(line, f"no such setting: {name}")


def counters_of(root):
    return set(re.findall(r'^    \{"([a-z_]+)",\s+"', (root / "dataplane/contract/counters.h").read_text(), re.MULTILINE))


def wrong_counters(page, counters):
    for line, text in page.spans:
        if re.fullmatch(r"(?:drop|flows)_[a-z_]+", text) and text not in counters:
            yield page.fault(line, f"no such counter: {text}")


def alerts_of(root):
    return set(re.findall(r"alert: (\w+)", (root / "config/prometheus/alerts.yml").read_text()))


def wrong_alerts(page, alerts):
    for line, text in page.spans:
        if re.fullmatch(r"Sluice[A-Z]\w+", text) and text not in alerts:
            yield page.fault(line, f"no such alert: {text}")
