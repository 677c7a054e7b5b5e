# SPDX-License-Identifier: Apache-2.0
"""LogQL, as much of it as the dashboard of sessions uses: whether a query is well-formed, and what it names.

    query    = AGGREGATE [by] "(" [NUMBER ","] query ")" | OVER_TIME "(" [NUMBER ","] log range ")" [by]
    log      = "{" matcher {"," matcher} "}" {"|" stage}
    stage    = "json" | "unwrap" NAME | "line_format" STRING | matcher

By https://grafana.com/docs/loki/latest/query/, which has more.
"""
import dataclasses
import re

TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\$?[A-Za-z_]\w*|[0-9.]+|=~|!~|!=|[{}()\[\],|=]|$)')
AGGREGATES, OVER_TIME = ("sum", "topk", "max"), ("count_over_time", "quantile_over_time")
WITH_NUMBER = ("topk", "quantile_over_time")


class Malformed(ValueError):
    """What is wrong, and where."""


@dataclasses.dataclass
class Named:
    labels: set = dataclasses.field(default_factory=set)    # of the stream
    fields: set = dataclasses.field(default_factory=set)    # of the line


def names_of(query):
    """What a query names; raises Malformed."""
    parser = _Parser(query)
    (parser.log if parser.next == "{" else parser.metric)()
    parser.take("")
    return parser.named


class _Parser:
    def __init__(self, text):
        self._text, self._at, self.named = text, 0, Named()
        self._read()

    def _read(self):
        found = TOKEN.match(self._text, self._at)
        if not found:
            raise Malformed(f"{self._text!r} at {self._at}: nothing that can stand there")
        self.next, self._at = found[1], found.end()

    def take(self, *wanted):
        token = self.next
        if wanted and token not in wanted:
            raise Malformed(f"{self._text!r} before {self._at}: {token!r} where {wanted} should stand")
        if token:
            self._read()
        return token

    def name(self):
        token = self.take()
        if not re.fullmatch(r"[A-Za-z_]\w*", token):
            raise Malformed(f"{self._text!r}: {token!r} is no name")
        return token

    def string(self):
        token = self.take()
        if not token.startswith('"'):
            raise Malformed(f"{self._text!r}: {token!r} is no string")
        return token[1:-1]

    def matcher(self, names):
        names.add(self.name())
        self.take("=", "!=", "=~", "!~")
        self.string()

    def grouping(self):
        if self.next != "by":
            return
        self.take("by")
        self.take("(")
        self.named.fields.add(self.name())
        while self.next == ",":
            self.take(",")
            self.named.fields.add(self.name())
        self.take(")")

    def metric(self):
        function = self.take(*AGGREGATES, *OVER_TIME)
        if function in AGGREGATES:
            self.grouping()
        self.take("(")
        if function in WITH_NUMBER:
            float(self.take())
            self.take(",")
        if function in AGGREGATES:
            self.metric()
        else:
            self.log()
            self.take("[")
            self.take("$__interval")
            self.take("]")
        self.take(")")
        if function in OVER_TIME:
            self.grouping()

    def log(self):
        self.take("{")
        self.matcher(self.named.labels)
        while self.next == ",":
            self.take(",")
            self.matcher(self.named.labels)
        self.take("}")
        while self.next == "|":
            self.take("|")
            self.stage()

    def stage(self):
        if self.next == "json":
            self.take("json")
        elif self.next == "unwrap":
            self.take("unwrap")
            self.named.fields.add(self.name())
        elif self.next == "line_format":
            self.take("line_format")
            self.named.fields.update(re.findall(r"\{\{\s*\.(\w+)\s*\}\}", self.string()))
        else:
            self.matcher(self.named.fields)
