# SPDX-License-Identifier: Apache-2.0
"""A collector of IPFIX (RFC 7011) made of Debian's own programs: netcat keeps the messages, libfixbuf's ipfixDump says what is in
them. What elements of ours are it knows only from what the exporter has told (RFC 5610)."""
import dataclasses
import re

from .shell import Service, run, wait_until

ENTERPRISE = 32473
TEMPLATE = re.compile(r"^\tent: +(\d+) +id: +(\d+) +type: (\w+) +len: +(\d+)(?: \(S\))? +(\w+)$", re.MULTILINE)
FIELD = re.compile(r"^\t\([\d/]+\)(?: \(S\))? +(\w+) : (?:\(len: \d+\) )?(.*)$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Element:
    """As a template names it."""
    enterprise: int         # 0: everybody's
    number: int
    kind: str               # of its values, in ipfixDump's words
    name: str


class Collector:
    """Listens in a namespace, at `address`."""
    address = "127.0.0.1:4739"

    def __init__(self, lab, namespace):
        host, port = self.address.split(":")
        self._messages = lab.directory / "ipfix-messages"
        lab.services.append(Service("ipfix collector", ["sh", "-c", f'exec nc -dluk {host} {port} > "$0"', self._messages],
                                    lab.directory / "ipfix.log", namespace))
        wait_until(lambda: f":{port} " in run("ss", "-Hlun", namespace=namespace), 15, "the collector listens")

    def _dump(self, what):
        return run("ipfixDump", "--rfc5610", what, "--in", self._messages)

    def templates(self):
        """Of flow records: [[Element, ...], ...], as they were told last."""
        out = {}
        for text in self._dump("--templates").split("--- template record ---")[1:]:
            own = text.partition("--- options template record ---")[0]
            number = re.search(r"tid: +(\d+)", own)[1]
            out[number] = [Element(int(enterprise), int(number), kind, name) for enterprise, number, kind, _, name in TEMPLATE.findall(own)]
        return list(out.values())

    def flows(self):
        """Flow records so far: [{element: value as text}, ...]."""
        records = [dict(FIELD.findall(text)) for text in re.split(r"^--- data record \d+ ---$", self._dump("--data"), flags=re.MULTILINE)[1:]]
        return [record for record in records if "flowStartMilliseconds" in record]
