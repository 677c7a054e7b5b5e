# SPDX-License-Identifier: Apache-2.0
"""What an operator meets: the kernel behind the VIP, the check of a configuration, sluicectl."""
import re
import subprocess

import pytest

from lab.balancer import EXAMPLE, programs
from lab.network import BALANCER_FRONT, VIP4, VIP6, backend_addresses
from lab.shell import run


def ping(namespace, address):
    return run("ping", "-c", "5", "-i", "0.2", "-W", "1", address, namespace=namespace)


def test_the_kernel_answers_ping_arp_and_neighbour_discovery_behind_the_twins(lab):
    lab.start_greeters()
    lab.start_balancer()
    client = lab.network.clients[0]
    for address in (VIP4, VIP6, *BALANCER_FRONT):
        assert " 0% packet loss" in ping(client, address)
    mac = run("cat", "/sys/class/net/lb-front/address", namespace=lab.network.balancer).strip()
    assert mac in run("ip", "-n", client, "neighbour", "show", VIP4)
    assert mac in run("ip", "-n", client, "neighbour", "show", VIP6)
    # A large one is fragmented; both ways through the twin.
    assert " 0% packet loss" in run("ping", "-c", "3", "-i", "0.2", "-s", "4000", VIP4, namespace=client)
    for address in backend_addresses(0):
        assert " 0% packet loss" in ping(lab.network.balancer, address)


def test_thirty_thousand_packets_for_the_kernel_do_not_exhaust_the_buffers(lab):
    """Twice as many as there are buffers: each has to come back, whatever part of the pool it is from."""
    lab.start_greeters()
    lab.start_balancer()
    client = lab.network.clients[0]
    before = lab.balancer.counters()["punted"]
    own = BALANCER_FRONT[0]
    assert " 0% packet loss" in run("ping", "-q", "-f", "-c", "30000", "-s", "8", own, namespace=client, timeout_s=120)
    assert lab.balancer.counters()["punted"] - before > 30_000
    assert " 0% packet loss" in ping(client, VIP4)
    lab.mailer(target=VIP4, sessions=50, messages=0).wait()
    lab.balancer.require_counter_law()


def test_a_port_without_service_is_silent_and_counted(lab):
    lab.start_greeters()
    lab.start_balancer()
    before = lab.balancer.counters()["drop_strangers"]
    mailer = lab.mailer(target=VIP4, doors=[[2525, "plain"]], sessions=5, messages=0, timeout_s=3).wait()
    assert set(mailer.outcomes) == {"timeout"}, mailer.summary()
    assert lab.balancer.counters()["drop_strangers"] - before >= 5


def test_a_port_without_service_is_refused_by_the_kernel_if_strangers_are_its(lab, tmp_path):
    config = tmp_path / "kernel.cfg"
    text = EXAMPLE.read_text()
    memory = "memory_mb     = 256;"
    assert memory in text
    config.write_text(text.replace(memory, f'{memory} strangers = "kernel";'))
    lab.start_greeters()
    lab.start_balancer(config)
    mailer = lab.mailer(target=VIP4, doors=[[2525, "plain"]], sessions=5, messages=0, timeout_s=5).wait()
    assert set(mailer.outcomes) == {"unreachable"} and "Errno 111" in mailer.ended[0]["detail"], mailer.summary()


def check(path):
    return subprocess.run([programs()["sluice-control"], "--config", path, "--check"], text=True, capture_output=True,
                          timeout=120)


def test_check_accepts_the_examples():
    for path in sorted(EXAMPLE.parent.glob("*.cfg")):
        done = check(path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning: " not in done.stdout


def test_check_warns_of_what_can_never_work(tmp_path):
    text = EXAMPLE.read_text()
    old = 'port = 465; pool = "mta"; check = "handshake"; }'
    assert old in text
    (tmp_path / "odd.cfg").write_text(text.replace(old, 'port = 465; pool = "mta"; }'))
    line = text[:text.index(old)].count("\n") + 1
    done = check(tmp_path / "odd.cfg")
    assert done.returncode == 0 and "odd.cfg: ok: " in done.stdout, done.stdout + done.stderr
    assert re.search(rf'odd\.cfg:{line}: warning: services\[2\]: check "greeting" \(banner\) waits for a greeting on port 465',
                     done.stdout), done.stdout


def test_check_reads_the_files_that_are_named(tmp_path):
    text = EXAMPLE.read_text()
    (tmp_path / "token.cfg").write_text(text + f'control: {{ token_file = "{tmp_path}/token"; }};\n')
    done = check(tmp_path / "token.cfg")
    assert done.returncode == 1 and f"control.token_file: {tmp_path}/token: No such file" in done.stdout, done.stdout
    (tmp_path / "token").write_text("s" * 40)
    (tmp_path / "token").chmod(0o600)
    assert check(tmp_path / "token.cfg").returncode == 0


@pytest.mark.parametrize("old, new, wanted", [
    ("instance =", "instence =", "instance"),                         # unknown name, and a suggestion
    ("workers       = 1;", 'workers       = "one";', "integer"),      # wrong type
    ("flow_capacity = 65536;", "flow_capacity = -5;", ""),            # out of range
    ('pool = "mta6"; }', 'pool = "nowhere"; }', "nowhere"),           # names something that is not there
    ("port = 25; ", "port = 70000; ", "65535"),
    ('vip = "192.0.2.25"; ', 'vip = "192.0.2.2555"; ', "address"),
])
def test_check_names_file_line_fault_and_what_is_allowed(tmp_path, old, new, wanted):
    text = EXAMPLE.read_text()
    assert old in text
    path = tmp_path / "bad.cfg"
    path.write_text(text.replace(old, new, 1))
    line = text[:text.index(old)].count("\n") + 1
    done = check(path)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert re.search(rf"bad\.cfg:{line}: ", said), said
    assert wanted in said


def test_check_reports_every_fault_and_not_only_the_first(tmp_path):
    text = EXAMPLE.read_text().replace("workers ", "wrokers ").replace('vip = "192.0.2.25"', 'vip = "elsewhere"')
    (tmp_path / "bad.cfg").write_text(text)
    said = check(tmp_path / "bad.cfg").stdout
    assert len(set(re.findall(r"bad\.cfg:(\d+): ", said))) == 4, said
    assert "workers" in said


@pytest.mark.parametrize("content", [b"", b"\0\xff\xfe" * 50, b"pools = (((((", b'@include "/dev/null"\n', b"a" * 100_000])
def test_check_survives_files_that_are_no_configuration(tmp_path, content):
    (tmp_path / "bad.cfg").write_bytes(content)
    done = check(tmp_path / "bad.cfg")
    assert done.returncode == 1 and done.stdout + done.stderr
    assert "terminate" not in done.stderr


def test_check_of_a_missing_file_says_so(tmp_path):
    done = check(tmp_path / "absent.cfg")
    assert done.returncode == 1 and "absent.cfg" in done.stdout + done.stderr


def test_sluicectl_status_shows_services_backends_and_counters(lab):
    lab.start_backends()
    lab.start_balancer()
    lab.mailer(target=VIP4, sessions=30).wait()
    text = lab.balancer.ctl("status")
    for word in ("relay", "submission6", "mta1", "mta3", VIP4):
        assert word in text, text
    assert sum(lab.balancer.backend_figures("flows_created").values()) == 30
    lab.balancer.require_counter_law()
    lab.backends[0].kill()
    lab.balancer.wait_state("mta", "mta1", 25, up=False)
    backend = lab.balancer.backend("mta", "mta1", 25)
    assert "refused" in backend["reason"] and backend["since"], backend


def test_sluicectl_without_control_says_what_to_do(lab):
    lab.start_greeters()
    lab.start_balancer()
    lab.balancer.kill_control()
    with pytest.raises(RuntimeError, match="control"):
        lab.balancer.ctl("status")
