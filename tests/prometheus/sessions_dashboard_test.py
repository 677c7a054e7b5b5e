# SPDX-License-Identifier: Apache-2.0
"""The Grafana dashboard of session records: its LogQL names labels and fields that there are. Loki itself is not at hand to parse it."""
import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / "config" / "grafana" / "sessions.json").read_text())
SCHEMAS = json.loads((ROOT / "controlplane" / "api" / "openapi.json").read_text())["components"]["schemas"]
ERROR = "__error__"  # Loki's own
MATCHES = r"\s*(?:=~|!~|!=|=)\s*\""


def queries():
    return [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def fields():
    """Of a record as Loki's `json` names them: what is nested has its object's name before it."""
    out = set()
    for name, schema in SCHEMAS["Session"]["properties"].items():
        out |= {f"{name}_{inner}" for inner in schema["properties"]} if "properties" in schema else {name}
    return out


def shipped_labels():
    """Those that the guide's example gives to Loki."""
    return set(re.findall(r"^labels\.(\w+) =", (ROOT / "docs" / "sessions.md").read_text(), re.MULTILINE))


def names_in(query):
    """Labels of its stream, and fields of its lines: in filters, `unwrap`, `line_format` and `by (...)`."""
    selector = re.search(r"\{[^}]*\}", query)[0]
    rest = query.replace(selector, "")
    fields = re.findall(rf"\|\s*(\w+){MATCHES}|\bunwrap (\w+)|\{{\{{\.(\w+)\}}\}}", rest)
    grouped = ", ".join(re.findall(r"\bby \(([^)]*)\)", rest))
    return set(re.findall(rf"(\w+){MATCHES}", selector)), {name for found in fields for name in found if name} | set(grouped.split(", ")) - {""}


@pytest.mark.parametrize("query", [pytest.param(query, id=title) for title, query in queries()])
def test_queries_name_what_there_is(query):
    labels, named = names_in(query)
    assert labels and labels <= shipped_labels()
    assert ERROR in named and named <= fields() | {ERROR}, named - fields()
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", query)
    assert all(bare.count(begin) == bare.count(end) for begin, end in ("()", "[]", "{}")), query


def test_panels_use_the_chosen_data_source_and_variables():
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__interval"}
    assert len(queries()) >= 7
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            assert target["datasource"] == panel["datasource"] == {"type": "loki", "uid": "${datasource}"}, panel["title"]
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables, panel["title"]
