# SPDX-License-Identifier: Apache-2.0
"""sluicectl dns-zone on a running balancer, its output judged by BIND's own check."""
import json
import subprocess

import pytest

from lab.network import VIP4, VIP6
from lab.shell import CommandError, Service, in_namespace, run, wait_until

NAME = "mail.example.net"
HEAD = f"""$TTL 300
@ IN SOA ns.{NAME}. hostmaster.{NAME}. 1 3600 900 604800 300
@ IN NS ns.{NAME}.
ns IN A 192.0.2.53
"""


def records(lab, text):
    """Owner, type and data of a snippet's records, as named-checkzone reads the zone with it in."""
    path = lab.directory / "zone"
    path.write_text(HEAD + text)
    out = run("named-checkzone", "-D", "-o", "-", NAME, path)
    rows = [line.split(None, 4) for line in out.splitlines() if "\tIN " in line or " IN " in line]
    return {(owner.rstrip("."), ttl, kind, data) for owner, ttl, _, kind, data in rows
            if kind in ("A", "AAAA", "SRV") and not owner.startswith("ns.")}


def test_a_zone_has_the_vips_while_they_are_in_service_and_is_never_empty(lab, config):
    lab.start_greeters()
    lab.start_balancer(config(*((f'name  = "{pool}";', f'name  = "{pool}"; panic_hold = 2.0;') for pool in ("mta", "mta6"))))
    text = lab.balancer.ctl("dns-zone", NAME, "--ttl", "30")
    assert records(lab, text) == {(NAME, "30", "A", VIP4), (NAME, "30", "AAAA", VIP6)}
    script = lab.balancer.ctl("dns-zone", NAME, "--nsupdate")
    assert script.splitlines()[:2] == [f"update delete {NAME}. A", f"update delete {NAME}. AAAA"]
    assert f"update add {NAME}. 60 A {VIP4}" in script and script.endswith("send\n")

    lab.stop_greeters()
    wait_until(lambda: all(service["state"] != "in service" for service in lab.balancer.status()["services"]), 30, "no service left")
    with pytest.raises(CommandError, match="exit code 1.*no VIP is in service"):
        lab.balancer.ctl("dns-zone", NAME)
    assert lab.balancer.ctl("dns-zone", NAME, "--nsupdate", check=False) is None


def test_sites_are_merged_with_weights_where_dns_has_them(lab):
    lab.start_greeters()
    lab.start_balancer()
    north = lab.balancer.status()
    south = json.loads(json.dumps(north).replace(VIP4, "198.51.100.25").replace(VIP6, "2001:db8:51::25"))
    for name, status in (("north", north), ("south", south)):
        (lab.directory / f"{name}.json").write_text(json.dumps(status))
    text = lab.balancer.ctl("dns-zone", NAME, "--merge", f"{lab.directory}/north.json=70", f"{lab.directory}/south.json=30")
    found = records(lab, text)
    assert (NAME, "60", "A", VIP4) in found and (NAME, "60", "A", "198.51.100.25") in found
    assert (f"_submission._tcp.{NAME}", "60", "SRV", f"0 70 587 north.{NAME}.") in found
    assert (f"_submissions._tcp.{NAME}", "60", "SRV", f"0 30 465 south.{NAME}.") in found
    assert (f"south.{NAME}", "60", "AAAA", "2001:db8:51::25") in found


@pytest.mark.parametrize("arguments, wanted", [
    (["not a name"], "host name"), ([NAME, "--ttl", "-1"], "ttl"), ([NAME, "--ttl", "99999999999"], "ttl"),
    ([NAME, "--port", "0"], "port"), ([NAME, "--merge", "absent.json=1"], "absent.json"), ([NAME, "--merge", "x.json"], "FILE=WEIGHT"),
    ([NAME, "--merge", "x.json=70000"], "65535"), ([NAME, "--merge", "a.b.json=1"], "site"), (["a" * 300], "host name")])
def test_bad_arguments_are_named(lab, arguments, wanted):
    with pytest.raises(CommandError, match=f"exit code 2.*{wanted}"):
        lab.start_balancer(healthy=False)
        lab.balancer.ctl("dns-zone", *arguments)


NAMED_CONF = """\
options { directory "%(root)s"; listen-on port 5300 { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; pid-file none; session-keyfile none; };
controls { };
zone "%(name)s" { type primary; file "%(root)s/zone"; allow-update { 127.0.0.1; }; };
"""


def start_name_server(lab):
    """BIND in the balancer's namespace, with a zone whose name has an address that is out of date."""
    root = lab.directory / "named"
    root.mkdir()
    (root / "zone").write_text(HEAD + "@ IN A 203.0.113.99\n@ IN MX 10 @\n")
    (root / "named.conf").write_text(NAMED_CONF % {"root": root, "name": NAME})
    lab.services.append(Service("named", ["named", "-g", "-c", root / "named.conf"], root / "log", lab.network.balancer))
    wait_until(lambda: "203.0.113.99" in look_up(lab, "A"), 20, "name server answers")


def look_up(lab, kind):
    done = subprocess.run(in_namespace(lab.network.balancer, ["dig", "+short", "+time=1", "+tries=1", "@127.0.0.1", "-p", "5300", NAME, kind]),
                          text=True, capture_output=True, timeout=120)
    return done.stdout.split()


def test_a_name_server_takes_the_update_script(lab):
    lab.start_greeters()
    lab.start_balancer()
    start_name_server(lab)
    script = lab.balancer.ctl("dns-zone", NAME, "--nsupdate")
    run("nsupdate", namespace=lab.network.balancer, stdin="server 127.0.0.1 5300\n" + script)
    assert look_up(lab, "A") == [VIP4] and look_up(lab, "AAAA") == [VIP6]
    assert look_up(lab, "MX") == ["10", f"{NAME}."], "other records of the name stay"
