# SPDX-License-Identifier: Apache-2.0
"""docs/sessions.md is true: its fields are the records', its recipes run, its example for Vector has the shape that Vector reads."""
import json
import pathlib
import re
import subprocess
import tomllib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/sessions.md").read_text()
SESSIONS = [
    {"time": "2026-12-01T10:00:00.000Z", "client": "198.51.100.7", "backend": "mta1", "end": "closed", "by": "server", "failed": False,
     "greeting": 220, "greeting_ms": 12, "messages": {"accepted": 2, "temporary": 0, "permanent": 0}, "share": 0.5},
    {"time": "2026-12-01T10:00:01.000Z", "client": "198.51.100.7", "backend": "mta3", "end": "closed", "by": "server", "failed": True,
     "greeting": 554, "greeting_ms": 7, "messages": {"accepted": 0, "temporary": 0, "permanent": 0},
     "last_refusal": {"step": "connect", "code": 554, "enhanced": "5.7.1"}},
    {"time": "2026-12-01T10:00:01.500Z", "client": "198.51.100.8", "backend": "mta1", "end": "closed", "by": "client", "failed": False,
     "greeting": 220, "greeting_ms": 9, "tls": "established", "sni": "mx.example.net", "tls_offered": "1.3",
     "ja4": "t13d181100_85036bcba153_d41ae481755e"},
    {"time": "2026-12-01T10:00:02.000Z", "client": "203.0.113.9", "end": "refused", "by": "balancer", "cause": "blocked", "failed": True},
]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def fields_of_page():
    """The names in the first column of the two tables of fields."""
    out = set()
    for row in re.findall(r"^\| (`[^|]*`) \|", PAGE[PAGE.index("## Fields"):PAGE.index("## Looking")], re.MULTILINE):
        out |= set(re.findall(r"`(\w+)`", row))
    return out


def test_the_fields_are_those_of_the_api():
    description = json.loads((ROOT / "controlplane/api/openapi.json").read_text())
    # The API does not sample.
    assert fields_of_page() == set(description["components"]["schemas"]["Session"]["properties"]) | {"share"}


@pytest.mark.parametrize("recipe", [line for block in blocks("sh") for line in block.splitlines() if line.startswith("jq ")])
def test_recipes_of_jq_run(recipe, tmp_path):
    (tmp_path / "sessions.jsonl").write_text("".join(json.dumps(session) + "\n" for session in SESSIONS))
    done = subprocess.run(["bash", "-o", "pipefail", "-c", recipe], cwd=tmp_path, text=True, capture_output=True, timeout=20)
    assert done.returncode == 0 and done.stdout.strip(), (recipe, done)


def test_the_recipes_say_what_they_promise(tmp_path):
    (tmp_path / "sessions.jsonl").write_text("".join(json.dumps(session) + "\n" for session in SESSIONS))
    recipes = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("jq ")]
    said = [subprocess.run(["bash", "-c", recipe], cwd=tmp_path, text=True, capture_output=True).stdout.split() for recipe in recipes]
    assert said[0] == ["1", "198.51.100.7", "connect", "554"]
    assert said[1][:3] == ["1", "closed", "server"]
    assert said[-1] == ["4"], "two accepted, in one of two sessions"


def test_the_example_for_vector_leads_from_the_file_to_loki():
    (text,) = blocks("toml")
    example = tomllib.loads(text)
    (source,), (transform,), (sink,) = (example[part].values() for part in ("sources", "transforms", "sinks"))
    assert source["type"] == "file" and source["include"] == ["/var/log/sluice/sessions.jsonl"]
    assert transform["inputs"] == list(example["sources"]) and transform["type"] == "remap" and "parse_json" in transform["source"]
    assert sink["inputs"] == list(example["transforms"]) and sink["type"] == "loki" and sink["encoding"] == {"codec": "json"}
    assert set(re.findall(r"{{ (\w+) }}", json.dumps(sink["labels"]))) <= fields_of_page()
