# SPDX-License-Identifier: Apache-2.0
"""The Grafana dashboard of session records: its LogQL is well-formed, and names labels and fields that there are."""
import json
import pathlib
import re

import pytest

from logql import Malformed, names_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARD = json.loads((ROOT / "config" / "grafana" / "sessions.json").read_text())
SCHEMAS = json.loads((ROOT / "controlplane" / "api" / "openapi.json").read_text())["components"]["schemas"]
ERROR = "__error__"  # Loki's own


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


@pytest.mark.parametrize("query", [pytest.param(query, id=title) for title, query in queries()])
def test_queries_name_what_there_is(query):
    named = names_of(query)
    assert named.labels and named.labels <= shipped_labels()
    assert named.fields <= fields() | {ERROR}, named.fields - fields()


def test_panels_use_the_chosen_data_source_and_variables():
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]} | {"__interval"}
    assert len(queries()) >= 7
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            assert target["datasource"] == panel["datasource"] == {"type": "loki", "uid": "${datasource}"}, panel["title"]
            assert set(re.findall(r"\$(\w+)", target["expr"])) <= variables, panel["title"]


@pytest.mark.parametrize("query", ['{node="a"', '{node="a"} | json |', '{node=a}', 'sum by (end (count_over_time({node="a"} [$__interval]))',
                                   'count_over_time({node="a"})', '{node="a"} | unwrap 5', '{} | json', 'rate({node="a"} [$__interval])'])
def test_what_is_malformed_is_found(query):
    with pytest.raises(Malformed):
        names_of(query)
