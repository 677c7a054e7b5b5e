# SPDX-License-Identifier: Apache-2.0
"""The steps of docs/installing.md as they are written there, made fit for another machine."""
import re

from lab.balancer import ROOT

PAGE = ROOT / "docs" / "installing.md"
SECTION = "## An instance, step by step"
CARDS = ("0000:3b:00.0", "0000:3b:00.1")
PAGES = "echo 2048"


def blocks():
    """The commands of each step that has some, in order."""
    text = PAGE.read_text()
    section = text[text.index(SECTION) + len(SECTION):].split("\n## ")[0]
    return [re.sub(r"^ +", "", block, flags=re.M) for block in re.findall(r"```sh\n(.*?)```", section, re.S)]


def bind(cards, pages):
    """Huge pages and binding, for these cards. There is no sudo where everybody is root."""
    (block,) = [block for block in blocks() if "dpdk-devbind" in block]
    for old, new in ((" ".join(CARDS), " ".join(cards)), (PAGES, f"echo {pages}")):
        assert old in block, f"{PAGE.name} no longer holds {old!r}"
        block = block.replace(old, new)
    return block.replace("sudo ", "")


def start():
    """Check and start, without the look at the status, for which the test has its own."""
    (block,) = [block for block in blocks() if "systemctl enable" in block]
    return "\n".join(line for line in block.replace("sudo ", "").splitlines() if "sluicectl" not in line)
