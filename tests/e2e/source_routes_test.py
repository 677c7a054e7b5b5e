# SPDX-License-Identifier: Apache-2.0
"""A tenant's clients go to a pool of their own: placed there, explained, refused when it is down; open sessions stay."""
from lab.network import VIP4, VIP6, client_addresses
from lab.shell import wait_until

V4, V6 = client_addresses(0)
TENANT4, TENANT6 = V4[:2], V6[:2]
THIRD = ('      { name = "mta3"; address = "10.0.1.12"; }', '      { name = "mta3"; address = "fd00:1::12"; }')
POOLS = """pools = ( { name = "own"; check = "greeting"; backends = ( { name = "mta3"; address = "10.0.1.12"; } ); },
  { name = "own6"; check = "greeting"; backends = ( { name = "mta3"; address = "fd00:1::12"; } ); },"""
ROUTES = """sources: { routes = (
  { from = [FOUR]; service = "relay"; pool = "own"; }, { from = [SIX]; service = "relay6"; pool = "own6"; } ); };

checks:"""


def quoted(addresses):
    return ", ".join(f'"{address}"' for address in addresses)


def with_routes(four=TENANT4, six=TENANT6):
    """mta3 is the tenant's, and no longer of the shared pools."""
    shared = [(f'      {{ name = "mta2"; address = "{second}"; }},\n{third}', f'      {{ name = "mta2"; address = "{second}"; }}')
              for second, third in zip(("10.0.1.11", "fd00:1::11"), THIRD)]
    return (*shared, ("pools =\n(", POOLS), ("checks:", ROUTES.replace("FOUR", quoted(four)).replace("SIX", quoted(six))))


def served(lab, *sources, sessions=60):
    """Which mail server greeted how many of the sessions that these clients had."""
    target = VIP6 if ":" in sources[0] else VIP4
    mailer = lab.mailer(target=target, sources=list(sources), sessions=sessions, messages=0, timeout_s=10).wait()
    assert mailer.outcomes == {"delivered": sessions}, mailer.summary()
    return dict(mailer.backends())


def test_a_tenant_has_a_pool_of_its_own(lab, config):
    lab.start_greeters()
    lab.start_balancer(config(*with_routes()))
    for tenants, others in ((TENANT4, V4[2:8]), (TENANT6, V6[2:8])):
        assert served(lab, *tenants) == {"mta3": 60}
        assert set(served(lab, *others)) == {"mta1", "mta2"}
    explained = lab.balancer.ctl("explain", f"{TENANT4[0]}:40000", "relay")
    assert "own/mta3:25" in explained and 'its clients go to pool "own", not to "mta"' in explained, explained
    assert "mta/mta" in lab.balancer.ctl("explain", f"{V4[2]}:40000", "relay")

    held = [lab.mailer(target=VIP4, sources=[source], sessions=5, messages=0, hold="greeted", timeout_s=90)
            for source in (TENANT4[0], V4[2])]
    for mailer in held:
        mailer.wait_open(5)

    lab.balancer.ctl("drain", "own/mta3")  # by hand, and nobody else takes its place
    mailer = lab.mailer(target=VIP4, sources=list(TENANT4), sessions=4, messages=0, timeout_s=5)
    assert mailer.wait().outcomes == {"refused": 4}, "told 421"
    assert set(served(lab, *V4[2:8])) == {"mta1", "mta2"}, "others have not noticed"
    lab.balancer.ctl("enable", "own/mta3")
    assert served(lab, *TENANT4) == {"mta3": 60}

    lab.balancer.dataplane.stop()  # both processes come back to the same
    lab.balancer.start_dataplane()
    lab.balancer.control.stop()
    lab.balancer.start_control()
    wait_until(lambda: lab.balancer.backend("own", "mta3", 25)["state"] == "up", 20, "checked again")
    assert served(lab, *TENANT4) == {"mta3": 60}

    path = config(*with_routes(four=V4[2:4]))
    assert "routes 192" in lab.balancer.ctl("diff", str(path))
    lab.balancer.ctl("reload")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 10, "the new routes in use")
    assert served(lab, *V4[2:4]) == {"mta3": 60}
    assert set(served(lab, *TENANT4)) == {"mta1", "mta2"}
    for mailer in held:
        mailer.go()
        mailer.wait()
        assert mailer.outcomes == {"delivered": 5}, "open sessions stay where they are"
    lab.balancer.require_counter_law()
