# SPDX-License-Identifier: Apache-2.0
"""README and docs/ are true: what they name is there, links lead somewhere, nothing important is left out."""
import ast
import pathlib
import re
import subprocess

import pytest

import truth

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREE = truth.Tree(ROOT)
PAGES = truth.pages_of(ROOT)
MANUAL = [page for page in PAGES if page.name == "README.md" or page.name.startswith("docs/")]
README_LINES = 200


def test_there_is_something_to_check():
    names = {page.name for page in MANUAL}
    assert {"README.md", "docs/README.md", "docs/runbook.md"} <= names
    assert len(truth.commands_of(ROOT)) > 15 and len(truth.settings_of(ROOT)) > 60
    assert len(truth.counters_of(ROOT)) > 40 and len(truth.alerts_of(ROOT)) > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_links_are_there(page):
    faults = [*truth.wrong_paths(page, TREE), *truth.wrong_links(page, PAGES)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("page", MANUAL, ids=lambda page: page.name)
def test_commands_settings_counters_and_alerts_exist(page):
    faults = [*truth.wrong_commands(page, truth.commands_of(ROOT)), *truth.wrong_settings(page, truth.settings_of(ROOT)),
              *truth.wrong_counters(page, truth.counters_of(ROOT)), *truth.wrong_alerts(page, truth.alerts_of(ROOT))]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("page", [page for page in PAGES if any(block[1] == "sh" for block in page.blocks)], ids=lambda page: page.name)
def test_a_shell_can_read_the_commands(page):
    for line, language, text in page.blocks:
        if language == "sh":
            done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, timeout=20)
            assert done.returncode == 0, page.fault(line, done.stderr)


def test_charters_name_files_that_are_there():
    charters = [path for module in truth.MODULES for path in sorted((ROOT / module).rglob("meson.build"))]
    assert len(charters) > 20
    faults = [fault for path in charters for fault in truth.wrong_paths_of_charter(path, TREE)]
    assert not faults, "\n".join(faults)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def test_the_index_leads_to_every_page():
    index = (ROOT / "docs/README.md").read_text()
    others = [page.path.name for page in MANUAL if page.path.name != "README.md"]
    missing = [name for name in others if f"]({name})" not in index]
    assert not missing


def test_the_tree_shows_every_room():
    rooms = re.search(r"^ROOMS = (\{.*?^\})", (ROOT / "tests/layering.py").read_text(), re.MULTILINE | re.DOTALL)
    readme = (ROOT / "README.md").read_text()
    for module, names in ast.literal_eval(rooms[1]).items():
        (row,) = re.findall(rf"^\| `{module}/` \|(.*)$", readme, re.MULTILINE)
        missing = [name for name in names if f"`{name}`" not in row]
        assert not missing, f"README.md, the tree, {module}/: {missing}"


def test_every_command_and_every_alert_is_told_of():
    code = "\n".join(text for page in MANUAL for _, text in page.code())
    missing = [name for name in truth.commands_of(ROOT) if f"sluicectl {name}" not in code]
    missing += [name for name in truth.alerts_of(ROOT) if name not in code]
    assert not missing


PLANTED = """# A page

## The one heading

`dataplane/flow/no_such_file.h` and `flow/flow_table.h` and `worker/nowhere.cc`, `nowhere.cc`, `/etc/sluice/edge1.cfg`.
[one](no_such_page.md), [two](page.md#no-such-heading), [good](page.md#the-one-heading), [far](https://example.net/x).
`sluicectl frobnicate` and `sluicectl --json status`; sluicectl is a program. `sluicectl status --json --louder`.
`dataplane.burst`, `dataplane.bursts`, `pools[].name`, `scheduler = "maglev"`, `colour = "red"`.
`drop_no_backend`, `drop_everything`; `SluiceBackendDown`, `SluiceNothingDown`.

```sh
tests/run --unit; perf/no_such_program
```

```
pools = ( { name = "mta"; tint = 3; warm_up: { days = 3; }; } );   // so = much
```
"""


def test_the_checks_find_planted_faults(tmp_path):
    for directory in ("dataplane/flow", "dataplane/worker", "tests", "perf", "config"):
        (tmp_path / directory).mkdir(parents=True)
    for name in ("page.md", "dataplane/flow/flow_table.h", "tests/run"):
        (tmp_path / name).write_text(PLANTED)
    (page,) = pages = truth.pages_of(tmp_path)
    assert [fault.partition(": no such file: ")[2] for fault in truth.wrong_paths(page, truth.Tree(tmp_path))] == \
        ["dataplane/flow/no_such_file.h", "worker/nowhere.cc", "nowhere.cc", "perf/no_such_program"]
    assert list(truth.wrong_links(page, pages)) == ["page.md:6: no such file: no_such_page.md",
                                                    "page.md:6: no such heading: page.md#no-such-heading"]
    assert list(truth.wrong_commands(page, {"status"})) == ["page.md:7: sluicectl has no command frobnicate"]
    assert list(truth.wrong_options(page, {"status": set()})) == ["page.md:7: sluicectl status has no --louder"]
    settings = {"dataplane", "dataplane.burst", "pools", "pools[].name", "pools[].warm_up", "pools[].warm_up.days", "services[].scheduler"}
    assert [re.sub(r".*: ", "", fault) for fault in truth.wrong_settings(page, settings)] == ["dataplane.bursts", "colour", "tint"]
    assert len(list(truth.wrong_counters(page, {"drop_no_backend"}))) == 1
    assert len(list(truth.wrong_alerts(page, {"SluiceBackendDown"}))) == 1


def test_the_check_of_charters_finds_a_planted_fault(tmp_path):
    for name in ("tests", "dataplane/flow"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "dataplane/meson.build").write_text("# As `tests/no_such_test.py` says.\nsources = files('no_such/file.cc')\n")
    (fault,) = truth.wrong_paths_of_charter(tmp_path / "dataplane/meson.build", truth.Tree(tmp_path))
    assert fault == "dataplane/meson.build:1: no such file: tests/no_such_test.py"


def sources():
    for top in (*truth.MODULES, "tests", "perf"):
        yield from (path for path in sorted((ROOT / top).rglob("*")) if path.suffix in {".h", ".cc", ".py", ".yml", ".build"})


def test_comments_name_files_that_are_there():
    files = [path for path in sources() if path.parent != ROOT / "tests/documents"]
    assert len(files) > 300
    faults = [fault for path in files for fault in truth.wrong_paths_of_source(path, TREE)]
    assert not faults, "\n".join(faults)


def test_the_check_of_comments_finds_a_planted_fault(tmp_path):
    (tmp_path / "dataplane").mkdir()
    (tmp_path / "dataplane/a.h").write_text('// See dataplane/b.h and dataplane/a.h.\n#include "dataplane/a.h"\n')
    (fault,) = truth.wrong_paths_of_source(tmp_path / "dataplane/a.h", truth.Tree(tmp_path))
    assert fault == "dataplane/a.h:1: no such file: dataplane/b.h"
