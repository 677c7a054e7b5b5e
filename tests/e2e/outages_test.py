# SPDX-License-Identifier: Apache-2.0
"""Outages, for real, and whom they wake: a Prometheus with the shipped rules, an Alertmanager, a pager."""
import pytest

from lab.outage_lab import Outages
from lab.outages import OUTAGES

ALSO_IN_THE_ORDINARY_RUN = ("a pool is disabled by hand", "the back cable is out")


@pytest.fixture(scope="module")
def outages(request):
    """The lab that the outage needs; pytest goes through all of one lab before it makes the other."""
    with Outages(nodes=request.param) as running:
        yield running


@pytest.mark.parametrize("outages, outage", [
    pytest.param(outage.nodes, outage, id=outage.name.replace(" ", "-"),
                 marks=[] if outage.name in ALSO_IN_THE_ORDINARY_RUN else [pytest.mark.long])
    for outage in OUTAGES], indirect=["outages"])
def test_an_outage_pages_and_ordinary_trouble_does_not(outages, outage):
    found = outages.run(outage)
    assert found.meets(outage), f"{found} instead of {outage}"
