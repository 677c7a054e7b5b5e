# SPDX-License-Identifier: Apache-2.0
"""PROXY headers: real mail servers that demand one see the client's own address, while the client waits for the greeting."""
import re

import pytest

from lab.lab import DOMAIN
from lab.network import VIP4, VIP6
from lab.peers import Exim, OpenSmtpd
from lab.shell import wait_until

# Exim looks up the address it was told; there is no name server here to say that it has no name.
EXIM_EXTRA = "hosts_proxy = *\ndns_retrans = 1s\ndns_retry = 1"
DOORS = [[25, "plain"], [587, "starttls"], [465, "tls"]]


def with_proxy(config, version):
    """The lab's configuration with PROXY headers everywhere, on the probes too."""
    return config(('pool = "mta";', f'pool = "mta"; proxy = "{version}";'),
                  ('pool = "mta6";', f'pool = "mta6"; proxy = "{version}";'),
                  ('greeting:  { type = "banner";', f'greeting:  {{ type = "ehlo"; proxy = "{version}";'),
                  ('handshake: { type = "tcp"; ', f'handshake: {{ type = "smtps"; proxy = "{version}";'))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_postfix_logs_the_clients_address_and_takes_all_mail(lab, config, version):
    lab.start_backends(main_extra="smtpd_upstream_proxy_protocol = haproxy")
    lab.start_balancer(with_proxy(config, version))
    by_v4 = lab.mailer(target=VIP4, doors=DOORS, sessions=120, messages=2, size=20_000)
    by_v6 = lab.mailer(target=VIP6, doors=DOORS, sessions=60, messages=2, size=20_000)
    for mailer, sessions in ((by_v4, 120), (by_v6, 60)):
        mailer.wait()
        assert mailer.outcomes == {"delivered": sessions}, mailer.summary()
    lab.wait_delivered()
    result = lab.tally()
    assert result.clean, result
    seen = set()
    for backend in lab.backends:
        log = backend.log.read_text()
        seen.update(re.findall(r"connect from unknown\[([^\]]+)\]", log))
        assert "haproxy" not in log.lower() or "error" not in log.lower(), log
    assert any(address.startswith("192.0.2.1") for address in seen), seen
    assert any(address.startswith("2001:db8:25::") for address in seen), seen
    counters = lab.balancer.require_counter_law()
    assert counters["proxy_headers_sent"] == 180


@pytest.mark.parametrize("peer,version", [("exim", "v1"), ("exim", "v2"), ("opensmtpd", "v2")])
def test_exim_and_opensmtpd_log_the_clients_address(lab, config, peer, version):
    namespaces = lab.network.backends
    certificate, key = lab.authority.issue("mta", [f"mta{i + 1}.{DOMAIN}" for i in range(len(namespaces))])
    servers = []
    for i, namespace in enumerate(namespaces):
        root = lab.directory / f"mta{i + 1}"
        servers.append(Exim(f"mta{i + 1}", namespace, root, certificate, key, extra=EXIM_EXTRA) if peer == "exim"
                       else OpenSmtpd(f"mta{i + 1}", namespace, root, extra="proxy-v2"))
        servers[-1].start()
    # OpenSMTPD listens on 25 alone here: the other services lose their backends, which is not what is tested.
    lab.start_balancer(with_proxy(config, version), healthy=False)
    for i in range(len(namespaces)):
        lab.balancer.wait_state("mta", f"mta{i + 1}", 25, up=True)
    mailer = lab.mailer(target=VIP4, sessions=30, messages=1, size=2000).wait()
    assert mailer.outcomes == {"delivered": 30}, mailer.summary()
    logs = "".join(path.read_text(errors="replace") for server in servers
                   for path in [server.log, *server.root.glob("logs/*")] if path.exists())
    assert re.search(r"\[?192\.0\.2\.1\d\d\]?", logs), logs[-2000:]
    # The balancer's own address appears for its probes at most; no message came from it.
    assert not re.search(r"<= .*\[10\.0\.1\.1\]", logs), logs[-2000:]
    # Both deliver after they have answered.
    wait_until(lambda: sum(1 for server in servers for _ in server.stored()) >= 30, 120, "30 messages stored")
    assert sum(1 for server in servers for _ in server.stored()) == 30
