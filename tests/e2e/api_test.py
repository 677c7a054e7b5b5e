# SPDX-License-Identifier: Apache-2.0
"""The API over a running lab: its answers are as described, its figures are right, and bad clients harm nobody."""
import json
import os
import pty
import re
import selectors
import signal
import socket
import subprocess
import termios
import time

import pytest

from lab.api import Api, described, require_as_described, sockets
from lab.network import BALANCER_FRONT, VIP4
from lab.shell import in_namespace, wait_until

TOKEN = "correct-horse-battery-staple"
BACKENDS = [f"mta{index + 1}" for index in range(3)]


@pytest.fixture
def balancer(lab):
    """A balancer before servers that only greet."""
    lab.start_greeters()
    return lab.start_balancer()


@pytest.fixture
def api(lab, balancer):
    return Api(lab.network.balancer)


def rates_of(api, service):
    """Whether the newest second of a service is known."""
    rates = api.get(f"/api/v1/services/{service}")["services"][0]["rates"]
    return rates and rates["new_flows_per_s"] is not None


def with_token(lab):
    """The settings of an API that anybody may reach, and who has TOKEN may change things by."""
    secret = lab.directory / "token"
    secret.write_text(TOKEN + "\n")
    secret.chmod(0o600)
    return ('instance = "lab";', f'''instance = "lab";
control: {{ http = "0.0.0.0:9125"; token_file = "{secret}"; http_names = ["lab.example"]; }};''')


def test_every_answer_is_as_the_description_says(lab, config):
    lab.start_greeters()
    balancer = lab.start_balancer(config(with_token(lab)))
    api = Api(lab.network.balancer, token=TOKEN)
    lab.mailer(target=VIP4, sessions=40, messages=0).wait()
    description = api.get("/api/v1/openapi.json")
    wait_until(lambda: rates_of(api, "relay"), 10, "rates")
    asked = {
        "/api/v1/status": ["/api/v1/status"],
        "/api/v1/services": ["/api/v1/services"],
        "/api/v1/services/{name}": ["/api/v1/services/relay", "/api/v1/services/submissions6"],
        "/api/v1/pools": ["/api/v1/pools"],
        "/api/v1/pools/{name}": ["/api/v1/pools/mta"],
        "/api/v1/backends": ["/api/v1/backends"],
        "/api/v1/backends/{pool}/{name}": ["/api/v1/backends/mta/mta1", "/api/v1/backends/mta6/mta3"],
        "/api/v1/flows": ["/api/v1/flows", "/api/v1/flows?limit=1&service=relay&client=192.0.2.0/24&backend=mta/mta1"],
        "/api/v1/history": ["/api/v1/history?step=1", "/api/v1/history", "/api/v1/history?backend=mta/mta1&step=1"],
        "/api/v1/by-hand": ["/api/v1/by-hand"],
        "/api/v1/discovered": ["/api/v1/discovered"],
        "/api/v1/explain": ["/api/v1/explain?client=192.0.2.7:40000&service=relay"],
        "/api/v1/events": ["/api/v1/events", "/api/v1/events?limit=1&kind=pool"],
    }
    for path, targets in asked.items():
        for target in targets:
            require_as_described(api.get(target), path, description)
    for path, item in description["paths"].items():  # whatever can be asked without a name, by whomever it was added
        if "get" not in item or "{" in path:
            continue
        status, _, body = api.request(path)
        answers = item["get"]["responses"]
        assert str(status) in answers, f"{path}: {status} is not described: {body}"
        if described(path, description, status) != {"type": "string", "components": description["components"]}:
            require_as_described(json.loads(body), path, description, status)
    for path, target, status in [
            ("/api/v1/services/{name}", "/api/v1/services/nobody", 404),
            ("/api/v1/backends/{pool}/{name}", "/api/v1/backends/mta/nobody", 404),
            ("/api/v1/events", "/api/v1/events?limit=99999999999999999999", 400),
            ("/api/v1/flows", "/api/v1/flows?client=nobody", 400),
            ("/api/v1/flows", "/api/v1/flows?backend=nobody", 404),
            ("/api/v1/history", "/api/v1/history?step=7", 400)]:
        got, headers, body = api.request(target)
        assert got == status, body
        require_as_described(json.loads(body), path, description, status)
        assert headers["X-Content-Type-Options"] == "nosniff"
    balancer.dataplane.stop(signal.SIGKILL)
    wait_until(lambda: api.request("/readyz")[0] == 503, 10, "not ready without a data plane")
    assert api.request("/healthz")[0] == 200
    for path, targets in asked.items():  # figures are null now, and there is no flow memory: that too is described
        for target in targets:
            status, _, body = api.request(target)
            assert status == (503 if path == "/api/v1/flows" else 200), f"{target}: {status} {body}"
            require_as_described(json.loads(body), path, description, status)


def test_figures_rates_and_history_agree_with_the_mail_client(lab):
    lab.start_backends()
    balancer = lab.start_balancer()
    api = Api(lab.network.balancer)
    wait_until(lambda: rates_of(api, "relay"), 10, "rates")  # what came before the first reading is in no history
    mailer = lab.mailer(target=VIP4, sessions=60, messages=2, size=5000, per_second=20).wait()
    assert mailer.outcomes == {"delivered": 60}, mailer.summary()

    def seen(subject):
        observation = subject["observation"]
        return (observation["greetings"]["2xx"], observation["messages"]["accepted"], observation["ended"]["quit"],
                observation["greeting_time"]["count"], subject["figures"]["flows_established"])
    wanted = (60, 120, 60, 60, 60)
    wait_until(lambda: seen(api.get("/api/v1/services/relay")["services"][0]) == wanted, 10,
               "the service's figures are those of the client")
    shares = mailer.backends()
    for name in BACKENDS:
        (at_port_25,) = [each for each in api.get(f"/api/v1/backends/mta/{name}")["backends"] if each["port"] == 25]
        assert seen(at_port_25)[0] == shares[name]
        assert seen(at_port_25)[1] == 2 * shares[name]
    sums = {}

    def in_history():
        (relay,) = api.get("/api/v1/history?service=relay&step=1")["history"]
        sums.update({name: sum(value or 0 for value in values) for name, values in relay["series"].items()})
        return sums["messages_per_s"] > 108 and any(relay["series"]["greeting_p50_ms"])
    wait_until(in_history, 10, "the last second is in the history")
    for name, wanted in (("new_flows_per_s", 60), ("established_per_s", 60), ("greetings_2xx_per_s", 60),
                         ("messages_per_s", 120)):
        assert sums[name] == pytest.approx(wanted, rel=0.1), sums  # a late reading stretches its second
    assert sums["bytes_in_per_s"] > 120 * 5000 * 0.9, sums
    text = balancer.ctl("services", "relay")
    assert re.search(r"greetings 2xx\s+60", text) and re.search(r"greeting_time\s+60", text), text


def test_events_are_followed_as_they_come(lab, balancer):
    command = in_namespace(lab.network.balancer, [balancer.program("sluicectl"), "--config", balancer.config, "events",
                                                  "--follow", "--kind", "backend", "--json"])
    follower = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **balancer.env})
    try:
        lines = iter(follower.stdout.readline, "")
        ups = {json.loads(next(lines))["subject"] for _ in range(6)}
        assert "mta/mta1:25" in ups
        lab.stop_greeters()
        down = next(event for event in map(json.loads, lines) if event["text"].startswith("down"))
        assert down["severity"] == "warning" and "refused" in down["text"], down
    finally:
        follower.kill()
        follower.wait()
    newest = json.loads(balancer.ctl("events", "--json", "--limit", "5"))["events"]
    assert len(newest) == 5 and newest == sorted(newest, key=lambda event: -event["id"])


def test_sluicectl_says_what_is_wrong_by_its_exit_code(balancer):
    def code(*args):
        done = subprocess.run([*in_namespace(balancer.network.balancer, [balancer.program("sluicectl"), "--config",
                                                                         balancer.config]), *args],
                              text=True, capture_output=True, timeout=120, env={**os.environ, **balancer.env})
        assert (done.returncode == 0) == (done.stderr == ""), done
        assert "terminate" not in done.stderr
        return done.returncode
    assert code("services") == code("pools", "mta") == code("backends", "mta/mta1") == code("top", "--once") == 0
    assert code("services", "nobody") == code("pools", "nobody") == code("backends", "mta/nobody") == 4
    assert code("backends", "mta") == code("backends", "/") == code("events", "--limit", "-1") == 2
    assert code("events", "--limit", "9" * 30) == code("top", "--interval", "0") == 2
    assert code("services", "../../etc/passwd") == code("services", "a\nb\x1b[2J") == 4
    assert code("services", "x" * 100_000) == 1
    balancer.kill_control()
    assert code("services") == code("events") == code("top") == 3


def test_only_the_token_changes_things_and_only_known_names_are_served(lab, config):
    lab.start_greeters()
    lab.start_balancer(config(with_token(lab)))
    api = Api(lab.network.balancer)
    bearer = f"Bearer {TOKEN}"
    assert api.request("/api/v1/status")[0] == 200
    assert api.request("/api/v1/status", Authorization=bearer)[0] == 200
    assert api.request("/api/v1/status", Authorization="Bearer wrong-token-of-some-length")[0] == 401
    assert api.request("/api/v1/status", Host="lab.example:9125")[0] == 200
    assert api.request("/api/v1/status", Host="attacker.example")[0] == 421
    status, headers, _ = api.request("/api/v1/status", Origin="http://attacker.example")
    assert status == 200 and not [name for name in headers if name.lower().startswith("access-control")]
    drain = json.dumps({"action": "drain", "backend": "mta/mta1"})

    def state():
        return {each["state"] for each in api.get("/api/v1/backends/mta/mta1")["backends"]}
    assert api.request("/api/v1/by-hand", "POST", drain)[0] == 403
    assert api.request("/api/v1/by-hand", "POST", drain, Authorization="Bearer wrong-token-of-some-length")[0] == 401
    assert api.request("/api/v1/by-hand", "POST", drain, Authorization=bearer, Host="attacker.example")[0] == 421
    assert state() == {"up"}
    assert api.request("/api/v1/by-hand", "POST", drain, Authorization=bearer)[0] == 200
    wait_until(lambda: state() == {"draining"}, 10, "the backend drains")
    # What shows what clients do is no mere reading.
    for path in ("/api/v1/flows", "/api/v1/sessions", "/api/v1/traces/1", "/api/v1/captures/1"):
        assert api.request(path)[0] == api.request(path, "HEAD")[0] == 403, path
        assert api.request(path, Authorization=bearer)[0] in (200, 404), path
    # From another host reading needs the token too; what it says of its life does not.
    elsewhere = Api(lab.network.clients[0], (BALANCER_FRONT[0], 9125))
    assert elsewhere.request("/api/v1/status")[0] == 401
    assert elsewhere.request("/api/v1/status", Authorization=bearer)[0] == 200
    assert elsewhere.request("/healthz")[0] == elsewhere.request("/readyz")[0] == 200


BAD_BODIES = {
    "empty": "", "cut short": '{"action": "dra', "no object": "[1]", "deep": "[" * 300_000, "zeros": "\0" * 1000,
    "huge number": '{"action": "weight", "backend": "mta/mta1", "weight": 1e400}',
    "large number": '{"action": "weight", "backend": "mta/mta1", "weight": 18446744073709551616}',
    "negative number": '{"action": "weight", "backend": "mta/mta1", "weight": -1}',
    "unknown action": '{"action": "explode", "backend": "mta/mta1"}',
    "unknown member": '{"action": "drain", "backend": "mta/mta1", "force": true}',
    "wrong type": '{"action": "drain", "backend": ["mta/mta1"]}',
    "unknown backend": '{"action": "drain", "backend": "mta/nobody"}',
    "longer than allowed": "x" * (5 << 20),
}


def test_bad_bodies_change_nothing(lab, balancer):
    control = str(balancer.runtime / "lab" / "control.sock")
    for kind, body in BAD_BODIES.items():
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(control)
            try:
                connection.sendall(f"POST /api/v1/by-hand HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                                   .encode())
            except OSError:
                pass  # cut before it had said all
            (answer,) = read_answers([connection], 30) if kind == "longer than allowed" else [connection.recv(1 << 16).decode()]
        expected = "404" if kind == "unknown backend" else "400"
        assert answer.startswith(f"HTTP/1.1 {expected}") or (kind == "longer than allowed" and not answer), (kind, answer)
    assert {each["state"] for each in balancer.status()["backends"]} == {"up"}
    assert json.loads(balancer.ctl("backends", "mta/mta1", "--json"))["backends"][0]["weight"]["by_hand"] is None


def test_a_token_that_others_can_read_is_refused(lab, config):
    secret = lab.directory / "token"
    secret.write_text(TOKEN)
    secret.chmod(0o644)
    lab.start_greeters()
    with pytest.raises(RuntimeError, match="has mode 0644"):
        lab.start_balancer(config(('instance = "lab";', f'''instance = "lab"; control: {{ token_file = "{secret}"; }};''')))


def read_answers(connections, deadline_s):
    """What each socket hears until its end; '' for one that hears nothing."""
    heard = {connection: b"" for connection in connections}
    selector = selectors.DefaultSelector()
    for connection in connections:
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
    deadline = time.monotonic() + deadline_s
    while selector.get_map() and time.monotonic() < deadline:
        for key, _ in selector.select(0.2):
            try:
                data = key.fileobj.recv(1 << 16)
            except ConnectionError:
                data = b""
            heard[key.fileobj] += data
            if not data:
                selector.unregister(key.fileobj)
    assert not selector.get_map(), f"{len(selector.get_map())} connections hear nothing and are not cut"
    return [heard[connection].decode(errors="replace") for connection in connections]


def test_a_thousand_clients_at_once_and_slow_ones_beside_them_cost_no_mail(lab, balancer, api):
    mail = lab.mailer(target=VIP4, sessions=400, messages=0, per_second=40)
    slow = sockets(lab.network.balancer, 200)
    for connection in slow:
        connection.send(b"GET /api/v1/status HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    half_closed = sockets(lab.network.balancer, 100)
    for connection in half_closed:
        connection.send(b"GET /api/v1/pools HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        connection.shutdown(1)  # SHUT_WR
    # More than are served at once: the slow ones hold most places until they are cut.
    clients = sockets(lab.network.balancer, 1000)
    for connection in clients:
        connection.send(b"GET /api/v1/backends HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert balancer.status()["version"], "the Unix socket has places of its own"
    for answer in read_answers(half_closed + clients, 120):
        assert answer.startswith("HTTP/1.1 200 OK"), answer[:200]
        json.loads(answer.split("\r\n\r\n", 1)[1])
    assert not any(answer.startswith("HTTP/1.1 200") for answer in read_answers(slow, 60)), "cut, not answered"
    mail.wait()
    assert mail.outcomes == {"delivered": 400}, mail.summary()
    balancer.require_counter_law()
    balancer.require_running()
    for connection in slow + half_closed + clients:
        connection.close()


GARBAGE = {
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
    "smtp": b"EHLO mail.example\r\n\r\n",
    "long request line": b"GET " + b"/" * 100_000,
    "many headers": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50_000,
    "zeros": b"\0" * 70_000 + b"\r\n\r\n",
    "unknown version": b"GET /%00%ff HTTP/9.9\r\n\r\n",
    "huge chunk": b"POST /api/v1/status HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
    "huge length": b"POST /api/v1/status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551616\r\n\r\n",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_on_the_api_is_answered_or_cut_and_no_more(lab, balancer, api, kind):
    for connection in sockets(lab.network.balancer, 5):
        try:
            connection.sendall(GARBAGE[kind])
            connection.shutdown(1)
        except OSError:
            pass  # cut before it had said all
        (answer,) = read_answers([connection], 30)
        assert not answer.startswith("HTTP/1.1 2"), answer[:200]
        connection.close()
    assert api.get("/api/v1/status")["dataplane"]["connected"]
    balancer.require_running()


def run_top(balancer, end):
    """Runs `top` on a terminal of its own until it has shown backends, has `end(process, terminal)` end it, and
    returns its exit code, what it wrote, and the terminal's modes before and after."""
    controller, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    command = in_namespace(balancer.network.balancer,
                           [balancer.program("sluicectl"), "--config", balancer.config, "top"])
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal,
                               env={**os.environ, **balancer.env, "TERM": "xterm"})
    written = b""
    try:
        deadline = time.monotonic() + 60
        while b"mta6/mta3" not in written:
            assert time.monotonic() < deadline, written
            written += os.read(controller, 65536)
        end(process, controller)
        os.set_blocking(controller, False)

        def ended():
            nonlocal written
            try:
                written += os.read(controller, 65536)
            except BlockingIOError:
                pass
            return process.poll() is not None and b"\x1b[?1049l" in written
        wait_until(ended, 20, "top ends and leaves the screen")
        return process.returncode, written, before, termios.tcgetattr(terminal)
    finally:
        process.kill()
        process.wait()
        os.close(controller)
        os.close(terminal)


@pytest.mark.parametrize("end", [
    lambda process, keys: os.write(keys, b"q"), lambda process, keys: os.write(keys, b"\x03"),
    lambda process, keys: process.send_signal(signal.SIGTERM)], ids=["q", "ctrl-c", "sigterm"])
def test_top_leaves_the_terminal_as_it_was(balancer, end):
    code, written, before, after = run_top(balancer, end)
    assert code == 0
    assert after == before
    assert written.index(b"\x1b[?1049h") < written.index(b"relay6") < written.rindex(b"\x1b[?1049l")
    assert written.rindex(b"\x1b[?25h") > written.index(b"\x1b[?25l")


def test_top_without_a_terminal_is_one_table(lab, balancer):
    wait_until(lambda: json.loads(balancer.ctl("services", "--json"))["services"][0]["rates"], 10, "rates")
    mail = lab.mailer(target=VIP4, sessions=400, messages=0, per_second=40)
    wait_until(lambda: re.search(r"^relay +25 +in service +\d+ +[1-9]", balancer.ctl("top"), re.MULTILINE), 20,
               "the rate of new flows in top")
    answer = json.loads(balancer.ctl("top", "--once", "--json"))
    assert {each["name"] for each in answer["backends"]} == set(BACKENDS)
    assert "\x1b" not in balancer.ctl("top", "--once")
    mail.wait()
