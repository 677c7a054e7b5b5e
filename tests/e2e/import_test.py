# SPDX-License-Identifier: Apache-2.0
"""sluicectl import: what it prints carries mail."""
import pathlib
import re
import subprocess

import pytest

from lab.balancer import EXAMPLE, programs
from lab.network import VIP4

HAPROXY = f"""
defaults
    mode tcp
    timeout client 1m
    timeout server 1m
listen relay
    bind {VIP4}:25
    balance leastconn
    option smtpchk EHLO lb.lab.test
    server mta1 10.0.1.10:25 check inter 1s weight 20
    server mta2 10.0.1.11:25 check inter 1s weight 10
listen submission
    bind {VIP4}:587
    tcp-request inspect-delay 5s
    server mta3 10.0.1.12:25 check inter 1s
"""


def convert(path, program="haproxy"):
    return subprocess.run([programs()["sluicectl"], "import", program, path], text=True, capture_output=True, timeout=120)


def with_devices(text):
    """With what an operator fills in: the devices and a name."""
    devices = re.search(r"dataplane:\n\{.*?\n\};\n", EXAMPLE.read_text(), re.DOTALL)[0]
    text = re.sub(r"dataplane:\n\{.*?\n\};\n", lambda _: devices, text, count=1, flags=re.DOTALL)
    return text.replace('instance = "sluice";', 'instance = "imported";')


def test_a_converted_file_carries_mail_and_says_what_was_wrong(lab):
    (lab.directory / "haproxy.cfg").write_text(HAPROXY)
    done = convert(lab.directory / "haproxy.cfg")
    assert done.returncode == 0, done.stderr
    for line, word in ((4, "RFC 5321"), (14, "inspect-delay"), (15, "only connects"), (15, "587 was sent to port 25")):
        assert re.search(rf"haproxy\.cfg:{line}: warning: .*{word}", done.stdout), done.stdout
    (lab.directory / "sluice.cfg").write_text(with_devices(done.stdout))
    lab.start_greeters()
    balancer = lab.start_balancer(lab.directory / "sluice.cfg")
    mailer = lab.mailer(target=VIP4, doors=[[25, "plain"], [587, "plain"]], sessions=60, messages=0).wait()
    assert mailer.outcomes == {"delivered": 60}, mailer.summary()
    assert set(mailer.backends()) == {"mta1", "mta2", "mta3"} and mailer.backends()["mta3"] == 30
    assert {service["scheduler"] for service in balancer.status()["services"]} == {"least_conn", "wrr"}


KEEPALIVED = f"""
virtual_server {VIP4} 25 {{
    delay_loop 1
    lb_algo wrr
    lb_kind NAT
    protocol TCP
    sorry_server 10.0.1.12 25
    real_server 10.0.1.10 25 {{
        weight 3
        SMTP_CHECK {{
            helo_name lb.lab.test
        }}
    }}
    real_server 10.0.1.11 25 {{
        SMTP_CHECK {{
            helo_name lb.lab.test
        }}
    }}
}}
"""
KNOWN = sorted((pathlib.Path(__file__).resolve().parents[1] / "config" / "keepalived").glob("*.conf"))


def keepalived_says(path):
    """What keepalived itself has to say of a file, but for the scheduler that it takes where none is named: the import takes it, too."""
    done = subprocess.run(["keepalived", "-t", "-f", path], text=True, capture_output=True, timeout=60)
    return [line for line in (done.stdout + done.stderr).splitlines() if line and "no scheduler set, setting default 'wlc'" not in line]


@pytest.mark.parametrize("path", KNOWN, ids=lambda path: path.stem)
def test_keepalived_itself_takes_what_the_import_is_tested_with(path, tmp_path):
    assert keepalived_says(path) == []
    (tmp_path / "wrong.conf").write_text(path.read_text().replace("lb_kind", "lb_kin", 1))
    assert keepalived_says(tmp_path / "wrong.conf") != []


def test_a_file_of_keepalived_carries_mail_to_the_same_servers(lab):
    path = lab.directory / "keepalived.conf"
    path.write_text(KEEPALIVED)
    assert keepalived_says(path) == []
    done = convert(path, "keepalived")
    assert done.returncode == 0, done.stderr
    (lab.directory / "sluice.cfg").write_text(with_devices(done.stdout))
    lab.start_greeters()
    balancer = lab.start_balancer(lab.directory / "sluice.cfg")
    mailer = lab.mailer(target=VIP4, sessions=80, messages=0).wait()
    assert mailer.outcomes == {"delivered": 80}, mailer.summary()
    assert mailer.backends() == {"mta1": 60, "mta2": 20}, "by weight, in turn"
    for address in ("10.0.1.10", "10.0.1.11"):
        balancer.ctl("disable", address)
    mailer = lab.mailer(target=VIP4, sessions=20, messages=0).wait()
    assert mailer.backends() == {"mta3": 20}, "the sorry server"


def test_files_that_are_none_are_refused(tmp_path):
    for content in (b"", b"\0\xff" * 1000, b"listen x\n" * 10000, b'frontend "\n', b"global\n" + b"x" * (17 << 20)):
        (tmp_path / "haproxy.cfg").write_bytes(content)
        done = convert(tmp_path / "haproxy.cfg")
        assert done.returncode in (1, 2) and not done.stdout and "sluicectl: " in done.stderr, done
        assert "terminate" not in done.stderr
    assert convert(tmp_path / "absent.cfg").returncode == 2
    assert convert(tmp_path).returncode == 2
