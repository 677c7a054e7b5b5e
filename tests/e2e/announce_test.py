# SPDX-License-Identifier: Apache-2.0
"""The anycast front door: BIRD tells a router of the VIPs by the routes that control keeps, and mail follows; withdrawn and
announced by health, and by nothing else."""
import json
import signal
import subprocess

import pytest

from lab.anycast import (CLIENTS, DRAINING_METRIC, EXAMPLES, GRACEFUL_SHUTDOWN, METRIC, TABLE, VIPS, Upstream, configuration,
                         own_routes)
from lab.shell import CommandError, Service, in_namespace, run, wait_until

HOLD_DOWN_S = 2.0
ROUTES = f'mode = "routes"; hold_down = {HOLD_DOWN_S};'
QUICK_END = ('name  = "mta";', 'name  = "mta"; panic_hold = 1.0;'), ('name  = "mta6";', 'name  = "mta6"; panic_hold = 1.0;')


@pytest.fixture
def upstream(lab):
    return Upstream(lab)


def start(lab, upstream, announce=ROUTES, *replacements):
    lab.start_balancer(configuration(lab, announce, *replacements))
    upstream.build()
    for vip in VIPS:
        upstream.wait_route(vip, True)


def announcement(lab):
    return json.loads(lab.balancer.ctl("announce", "--json"))


def vip_state(lab, vip):
    (found,) = [entry for entry in announcement(lab)["vips"] if entry["vip"] == vip]
    return found["state"]


def send(lab, upstream, vip, **plan):
    plan = {"sessions": 5, "messages": 1, "timeout_s": 60, **plan}
    return lab.mailer(client=upstream.client, target=vip, sources=[CLIENTS[vip]], **plan)


def test_mail_comes_by_the_announced_vip(lab, upstream):
    lab.start_backends()
    start(lab, upstream)
    for vip in VIPS:
        mailer = send(lab, upstream, vip).wait()
        assert mailer.outcomes == {"delivered": 5}, mailer.summary()
        assert vip_state(lab, vip) == "announced" and own_routes(lab.network.balancer, vip) == [METRIC]
    lab.wait_delivered()
    assert lab.tally().clean, lab.tally()
    shown = lab.balancer.ctl("announce")
    assert f"mode: routes, table {TABLE}" in shown and "node: serving" in shown and "in service" in shown, shown
    assert "announced: in service" in lab.balancer.ctl("events")
    for vip, expected in ((VIPS[0], 0), (VIPS[1], 0), ("203.0.113.26", 22)):  # curl's code for 404 and the like
        done = subprocess.run(in_namespace(lab.network.balancer, [EXAMPLES / "vip-ready", "127.0.0.1:9125", vip]), timeout=60)
        assert done.returncode == expected, vip


def test_a_vip_goes_with_its_services_and_comes_back_and_a_flapping_server_moves_nothing(lab, upstream):
    lab.start_greeters()
    start(lab, upstream, ROUTES, *QUICK_END)
    watch = upstream.watch()

    for _ in range(3):  # one server of three comes and goes
        lab.stop_greeter(0)
        lab.balancer.wait_state("mta", "mta1", 25, False)
        lab.start_greeter(0)
        lab.balancer.wait_state("mta", "mta1", 25, True)
    assert not any(watch.changes(vip) for vip in VIPS)

    for index in range(3):
        lab.stop_greeter(index)
    for vip in VIPS:
        upstream.wait_route(vip, False)
        assert vip_state(lab, vip) == "withdrawn" and own_routes(lab.network.balancer, vip) == []
    assert len(watch.changes(VIPS[0])) == 1, watch.changes(VIPS[0])
    ready = lab.balancer.ctl("announce")
    assert "withdrawn" in ready and "usable" in ready, ready
    refused = send(lab, upstream, VIPS[0], sessions=1, messages=0, timeout_s=5).wait()
    assert refused.outcomes.get("delivered", 0) == 0

    for index in range(3):
        lab.start_greeter(index)
    for vip in VIPS:
        upstream.wait_route(vip, True)
        mailer = send(lab, upstream, vip, messages=0).wait()
        assert mailer.outcomes == {"delivered": 5}, mailer.summary()
    assert len(watch.changes(VIPS[0])) == 2, watch.changes(VIPS[0])


def test_the_last_node_stays_where_routers_take_it_last(lab, upstream):
    lab.start_greeters()
    start(lab, upstream, ROUTES + ' last_node = "stay";', *QUICK_END)
    for index in range(3):
        lab.stop_greeter(index)
    wait_until(lambda: GRACEFUL_SHUTDOWN in upstream.paths(VIPS[0]), 60, "graceful shutdown at the router")
    assert own_routes(lab.network.balancer, VIPS[0]) == [DRAINING_METRIC]
    assert "the last node stays" in lab.balancer.ctl("announce")


def test_a_restart_of_control_is_no_event_and_a_flushed_table_is_made_again(lab, upstream):
    lab.start_greeters()
    start(lab, upstream)
    namespace = lab.network.balancer
    watch = upstream.watch()
    held = [send(lab, upstream, vip, sessions=3, messages=0, hold="greeted") for vip in VIPS]
    for mailer in held:
        mailer.wait_open(3)
    for end in (lab.balancer.kill_control, lambda: lab.balancer.control.stop()):
        end()
        # What a crash may leave behind; and what is none of our business.
        run("ip", "-n", namespace, "route", "add", "blackhole", "203.0.113.99", "table", TABLE, "proto", 125)
        run("ip", "-n", namespace, "route", "replace", "blackhole", "203.0.113.98", "table", TABLE, "proto", 99)
        lab.balancer.start_control()
        lab.balancer.wait_healthy()
        wait_until(lambda: "203.0.113.99" not in run("ip", "-n", namespace, "route", "show", "table", TABLE), 30, "the stray gone")
        assert "203.0.113.98" in run("ip", "-n", namespace, "route", "show", "table", TABLE)
    for vip in VIPS:
        assert vip_state(lab, vip) == "announced" and not watch.changes(vip), watch.changes(vip)
    for mailer in held:
        mailer.go()
        mailer.wait()
        assert mailer.outcomes == {"delivered": 3}, mailer.summary()

    for vip in VIPS:
        run("ip", "-n", namespace, "-6" if ":" in vip else "-4", "route", "flush", "table", TABLE)
        wait_until(lambda v=vip: own_routes(namespace, v) == [METRIC], 30, f"{vip} made again")
        upstream.wait_route(vip, True)
    assert announcement(lab)["routes_remade"] >= 2  # `ip route flush` goes on until nothing is left
    assert "somebody else had removed" in lab.balancer.ctl("events")


def test_a_data_plane_that_is_away_withdraws_and_so_does_a_link(lab, upstream):
    lab.start_greeters()
    start(lab, upstream)
    lab.balancer.dataplane.stop()
    wait_until(lambda: all(own_routes(lab.network.balancer, vip) == [] for vip in VIPS), 30, "withdrawn")
    assert "the data plane is not connected" in lab.balancer.ctl("announce")
    lab.balancer.start_dataplane()
    for vip in VIPS:
        wait_until(lambda v=vip: own_routes(lab.network.balancer, v) == [METRIC], 60, f"{vip} announced again")

    run("ip", "-n", lab.network.wires, "link", "set", "lbb", "down")
    wait_until(lambda: all(own_routes(lab.network.balancer, vip) == [] for vip in VIPS), 30, "withdrawn")
    assert "no link towards mail servers: port back" in lab.balancer.ctl("announce")
    run("ip", "-n", lab.network.wires, "link", "set", "lbb", "up")
    for vip in VIPS:
        wait_until(lambda v=vip: own_routes(lab.network.balancer, v) == [METRIC], 60, f"{vip} announced again")

    lab.balancer.control.stop()
    lab.balancer.dataplane.stop()
    assert own_routes(lab.network.balancer, VIPS[0]) == [METRIC], "control has stopped before, and told nobody"
    withdrawn = lab.balancer.run_control("--withdraw")  # as the data plane's unit does
    assert withdrawn.returncode == 0, withdrawn.stderr
    assert all(own_routes(lab.network.balancer, vip) == [] for vip in VIPS)


def test_a_node_that_drains_is_preferred_by_nobody_and_cuts_nobody(lab, upstream):
    lab.start_greeters()
    start(lab, upstream)
    held = [send(lab, upstream, vip, sessions=3, messages=0, hold="greeted", timeout_s=120) for vip in VIPS]
    for mailer in held:
        mailer.wait_open(3)
    watch = upstream.watch()
    drained = lab.balancer.ctl("node", "drain", "--wait")
    assert "new sessions have ceased, 6 sessions open" in drained, drained
    for vip in VIPS:
        wait_until(lambda v=vip: GRACEFUL_SHUTDOWN in upstream.paths(v), 30, f"graceful shutdown of {vip} at the router")
        assert own_routes(lab.network.balancer, vip) == [DRAINING_METRIC]
    lab.balancer.kill_control()
    lab.balancer.start_control()
    lab.balancer.wait_healthy()
    assert "node: draining" in lab.balancer.ctl("announce")
    assert {entry["state"] for entry in announcement(lab)["vips"]} == {"draining"}
    for mailer in held:  # sent on by the draining node
        mailer.go()
        mailer.wait()
        assert mailer.outcomes == {"delivered": 3}, mailer.summary()
    # The router's BIRD writes its route anew as an attribute changes; what counts is that it is never without.
    assert not [line for vip in VIPS for line in watch.changes(vip) if line.startswith("Deleted")]

    lab.balancer.ctl("node", "undrain")
    wait_until(lambda: not any(GRACEFUL_SHUTDOWN in upstream.paths(vip) for vip in VIPS), 30, "no graceful shutdown any more")
    done = lab.balancer.ctl_run("node", "undrain")
    assert done.returncode != 0 and "does not drain" in done.stderr

    lab.balancer.ctl("node", "drain", "--deadline", "1s")
    for vip in VIPS:
        upstream.wait_route(vip, False)
    assert "withdrawn at its deadline" in lab.balancer.ctl("announce")
    lab.balancer.ctl("node", "undrain")
    for vip in VIPS:
        upstream.wait_route(vip, True)


def test_frr_takes_the_routes_too(lab, upstream):
    lab.start_greeters()
    lab.start_balancer(configuration(lab, ROUTES + " table = 25;"))
    upstream.build_with_frr()
    vip = VIPS[0]
    upstream.wait_route(vip, True)
    mailer = send(lab, upstream, vip, messages=0).wait()
    assert mailer.outcomes == {"delivered": 5}, mailer.summary()
    assert GRACEFUL_SHUTDOWN not in upstream.paths(vip)
    lab.balancer.ctl("node", "drain")
    wait_until(lambda: GRACEFUL_SHUTDOWN in upstream.paths(vip), 60, "graceful shutdown at the router")
    lab.balancer.ctl("node", "undrain")
    wait_until(lambda: upstream.paths(vip) and GRACEFUL_SHUTDOWN not in upstream.paths(vip), 60, "preferred again")
    lab.balancer.ctl("node", "drain", "--deadline", "1s")
    upstream.wait_route(vip, False)


def test_gobgp_follows_the_routes_too(lab, upstream):
    lab.start_greeters()
    lab.start_balancer(configuration(lab, ROUTES))
    upstream.build_with_gobgp()
    for vip in VIPS:
        upstream.wait_route(vip, True)
        mailer = send(lab, upstream, vip, messages=0).wait()
        assert mailer.outcomes == {"delivered": 5}, mailer.summary()
        assert GRACEFUL_SHUTDOWN not in upstream.paths(vip)
    lab.balancer.ctl("node", "drain")
    for vip in VIPS:
        wait_until(lambda vip=vip: GRACEFUL_SHUTDOWN in upstream.paths(vip), 30, "graceful shutdown at the router")
    lab.balancer.ctl("node", "undrain")
    for vip in VIPS:
        wait_until(lambda vip=vip: upstream.paths(vip) and GRACEFUL_SHUTDOWN not in upstream.paths(vip), 30, "preferred again")

    (follow,) = [service for service in lab.services if service.name == "gobgp-follow"]
    follow.stop(signal.SIGKILL)
    lab.balancer.ctl("node", "drain", "--deadline", "1s")
    wait_until(lambda: [vip_state(lab, vip) for vip in VIPS] == ["withdrawn"] * 2, 30, "withdrawn meanwhile")
    lab.services.append(Service("gobgp-follow", [EXAMPLES / "gobgp-follow"], lab.directory / "follow.log", lab.network.balancer))
    for vip in VIPS:
        upstream.wait_route(vip, False)
    lab.balancer.ctl("node", "undrain")
    for vip in VIPS:
        upstream.wait_route(vip, True)
    lab.services[-1].stop()
    for vip in VIPS:
        upstream.wait_route(vip, False)  # nobody watches over it any more


@pytest.mark.parametrize("command", [["bird", "-p", "-c", "bird.conf"], ["vtysh", "-C", "-f", "frr.conf"],
                                     ["keepalived", "-t", "-f", "keepalived.conf"], ["gobgpd", "-d", "-f", "gobgpd.toml"]],
                         ids=["bird", "frr", "keepalived", "gobgp"])
def test_the_daemons_take_the_shipped_configurations(lab, tmp_path, command):
    run("ip", "-n", lab.network.balancer, "link", "add", "slf0", "type", "veth", "peer", "name", "slb0")
    *words, name = command
    text = (EXAMPLES / name).read_text().replace("/usr/libexec/sluice/vip-ready", "/usr/bin/true")  # has to be there
    copy = tmp_path / name
    copy.write_text(text)
    run(*words, copy, namespace=lab.network.balancer)
    copy.write_text(text + "\nnonsense here {\n")  # the check does check
    with pytest.raises(CommandError):
        run(*words, copy, namespace=lab.network.balancer)
