# SPDX-License-Identifier: Apache-2.0
"""Good manners: hundreds of checks leave nothing in the logs of real mail servers that an operator would have to explain."""
import json
import re
import subprocess

import pytest

from lab.balancer import EXAMPLE
from lab.lab import Lab
from lab.messages import DOMAIN
from lab.network import VIP4, backend_addresses
from lab.peers import Exim, OpenSmtpd
from lab.postfix import Postfix
from lab.shell import in_namespace, wait_until

RUDE = re.compile(r"lost connection|PREGREET|HANGUP|pipelin|no MAIL in SMTP|did not issue MAIL|unexpected|protocol error|"
                  r"syntax error|timeout|non-SMTP|unrecognized|dropped|error|warning|fatal|panic", re.IGNORECASE)
# What the lab itself causes: Postfix' smtpd is asked for no name, and Exim says of what it is given.
OWN = re.compile(r"purging the environment|smtpd_peername_lookup|symlink leaves|group or other writable|not owned by")


@pytest.fixture
def lab():
    with Lab(backends=1) as made:
        yield made


def write_config(lab, checks):
    """One backend, under each of the `checks`: (name, port of the backend's, settings)."""
    head = EXAMPLE.read_text().split("// Short intervals")[0]
    address = backend_addresses(0)[0]
    fast = "interval = 0.1; fast_interval = 0.1; jitter = 0.1;"
    settings = "\n".join(f"{name}: {{ {'' if 'interval' in more else fast} {more} }};" for name, _, more in checks)
    pools = ",\n".join(f'{{ name = "{name}"; check = "{name}"; backends = ( {{ name = "mta1"; address = "{address}"; port = {port}; }} ); }}'
                       for name, port, _ in checks)
    services = ",\n".join(f'{{ name = "{name}"; vip = "{VIP4}"; port = {2600 + i}; pool = "{name}"; }}'
                          for i, (name, _, _) in enumerate(checks))
    path = lab.directory / "manners.cfg"
    path.write_text(f"{head}\nchecks: {{ {settings} }};\npools = ( {pools} );\nservices = ( {services} );\n")
    return path


def run_checks(lab, checks, count, timeout_s=120):
    """Lets every check be done `count` times; each of them has to pass. Returns when control has said its farewells."""
    lab.start_balancer(write_config(lab, checks))

    def done():
        backends = lab.balancer.status()["backends"]
        assert all(entry["state"] == "up" and entry["last_check"]["fact"] == "healthy" for entry in backends), backends
        return all(entry["last_check"]["probes"] >= count for entry in backends)
    wait_until(done, timeout_s, f"{count} checks of each type", interval_s=0.3)
    assert lab.balancer.control.stop() == 0


def require_clean(*logs):
    lines = [line for log in logs for line in log.read_text(errors="replace").splitlines()]
    rude = [line for line in lines if RUDE.search(line) and not OWN.search(line)]
    assert not rude, "\n".join(rude[:20])
    return lines


ALL_TYPES = [("banner", 25, 'type = "banner";'), ("ehlo", 25, 'type = "ehlo"; require = ["STARTTLS"];'),
             ("starttls", 587, 'type = "starttls"; certificate_warn_days = 0;'),
             ("smtps", 465, 'type = "smtps"; certificate_warn_days = 0;')]


def start_postfix(lab, **options):
    certificate, key = lab.authority.issue("mta", [f"mta1.{DOMAIN}"])
    server = Postfix("mta1", lab.network.backends[0], lab.directory / "mta1", certificate, key, **options)
    server.start()
    lab.backends.append(server)
    return server


def test_postfix_sees_orderly_sessions(lab):
    server = start_postfix(lab)
    run_checks(lab, ALL_TYPES, 120)
    lines = require_clean(server.log)
    ends = [line for line in lines if "disconnect from" in line]
    assert len(ends) >= 4 * 120
    assert all("quit=1" in line for line in ends), [line for line in ends if "quit=1" not in line][:5]


def test_a_check_by_handshake_alone_is_told_apart_from_these(lab):
    """`tcp` says nothing at all, and Postfix says so: why the checks that speak are there, and that the test above sees it."""
    server = start_postfix(lab)
    run_checks(lab, [("tcp", 25, 'type = "tcp";')], 20)
    with pytest.raises(AssertionError, match="lost connection"):
        require_clean(server.log)


def test_postscreen_sees_nobody_speak_before_the_greeting(lab):
    server = start_postfix(
        lab, main_extra="postscreen_greet_wait = 1s\npostscreen_greet_action = enforce\npostscreen_greet_banner = $smtpd_banner\n"
                        "postscreen_cache_map =\npostscreen_access_list =\npostscreen_pipelining_enable = no\n"
                        "postscreen_client_connection_count_limit = 0",
        master_extra="2525 inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\ndnsblog unix - - n - 0 dnsblog\n"
                     "tlsproxy unix - - n - 0 tlsproxy\n")
    checks = [(f"{kind}{i}", 2525, f'type = "{kind}"; {more}') for i in range(3)
              for kind, more in (("banner", ""), ("ehlo", ""), ("starttls", "certificate_warn_days = 0;"))]
    run_checks(lab, checks, 20, timeout_s=180)
    lines = require_clean(server.log)
    assert sum("postscreen" in line and "CONNECT from" in line for line in lines) >= 9 * 20
    # It remembers for a while who has passed; these are the probes that it made wait.
    assert sum("postscreen" in line and "PASS NEW" in line for line in lines) >= len(checks)


def test_exim_sees_orderly_sessions(lab):
    certificate, key = lab.authority.issue("mta", [f"mta1.{DOMAIN}"])
    server = Exim("mta1", lab.network.backends[0], lab.directory / "mta1", certificate, key,
                  extra="log_selector = +smtp_connection +smtp_protocol_error +smtp_syntax_error +lost_incoming_connection")
    server.start()
    run_checks(lab, ALL_TYPES, 100)
    lines = require_clean(server.log, *server.root.glob("logs/*"))
    assert sum("closed by QUIT" in line for line in lines) >= 4 * 100


def test_opensmtpd_sees_orderly_sessions(lab):
    server = OpenSmtpd("mta1", lab.network.backends[0], lab.directory / "mta1")
    server.start()
    run_checks(lab, [("banner", 25, 'type = "banner";'), ("ehlo", 25, 'type = "ehlo";')], 120)
    lines = require_clean(server.log)
    ends = [line for line in lines if "disconnected" in line]
    assert len(ends) >= 2 * 120
    assert all("reason=quit" in line for line in ends), ends[:5]


def test_a_forced_check_shows_the_dialogue(lab):
    start_postfix(lab)
    balancer = lab.start_balancer(write_config(lab, [("relay", 587, 'type = "starttls"; interval = 60.0; certificate_warn_days = 0;')]))
    text = balancer.ctl("check", "relay/mta1")
    for part in (f"< 220 mta1.{DOMAIN} ESMTP Postfix", "> STARTTLS", "TLSv1.3 established", "> QUIT", "< 221 ",
                 "verdict: healthy", "times: connect ", " tls "):
        assert part in text, text
    (check,) = json.loads(balancer.ctl("check", "relay/mta1", "--json"))["checks"]
    assert check["passed"] and [time["step"] for time in check["times"]][:4] == ["connect", "greeting", "ehlo", "starttls"]
    assert balancer.backend("relay", "mta1", 587)["certificate"]["days_left"] == 1

    def exit_code(*args):
        command = [balancer.program("sluicectl"), "--config", balancer.config, "check", *args]
        return subprocess.run(in_namespace(lab.network.balancer, command), capture_output=True, text=True, timeout=120,
                              env=balancer.env).returncode
    assert exit_code("relay/nobody") == 4
    assert exit_code("mta1") == 2
    lab.backends[0].kill()
    assert exit_code("relay/mta1") == 1


def test_backends_with_different_certificates_are_reported():
    with Lab(backends=2) as lab:
        for i in range(2):
            certificate, key = lab.authority.issue(f"mta{i + 1}", [f"smtp.{DOMAIN}"])
            server = Postfix(f"mta{i + 1}", lab.network.backends[i], lab.directory / f"mta{i + 1}", certificate, key)
            server.start()
            lab.backends.append(server)
        config = write_config(lab, [("sub", 587, f'type = "starttls"; server_name = "smtp.{DOMAIN}";')])
        second = f'{{ name = "mta2"; address = "{backend_addresses(1)[0]}"; port = 587; }}'
        config.write_text(config.read_text().replace("port = 587; } );", f"port = 587; }}, {second} );"))
        balancer = lab.start_balancer(config)
        fault = wait_until(lambda: balancer.status()["pools"][0]["certificate_fault"], 20, "the difference is seen")
        assert f"different keys for smtp.{DOMAIN}" in fault and "mta1 (" in fault and "mta2 (" in fault, fault
        assert f"different keys for smtp.{DOMAIN}" in balancer.control.log_path.read_text()
