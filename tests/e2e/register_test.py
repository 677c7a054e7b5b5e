# SPDX-License-Identifier: Apache-2.0
"""sluice-register on its way out: it waits until the last session has ended, so that the mail server may be stopped after it; and servers
that cannot reach etcd any more do not leave one by one until nobody is left."""
import base64
import json
import signal
import socket
import threading
import time
import types

import pytest

from lab.etcd import Etcd, register_module
from lab.members import ADDRESSES, IN_FILE, OPEN, discovered, hold, new_sessions, require_all_delivered, states, wait_states
from lab.shell import wait_until

LEAVE_S = 300  # more than any of these takes


@pytest.fixture
def etcd(lab, config):
    """With a balancer whose pool mta comes from it."""
    made = Etcd(lab)
    lab.start_backends()
    lab.start_balancer(config((IN_FILE, "discover = { etcd = true; };"),
                              ("services =\n(", f'fleet: {{ node = "edge1"; {made.settings()} }};\nservices =\n(')), healthy=False)
    return made


def test_a_mail_server_is_stopped_when_its_last_session_has_ended(lab, etcd):
    registered = [etcd.register(index, leave_s=LEAVE_S if index == 2 else 0) for index in range(3)]
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    leaving, log = registered[2].process, registered[2].log_path
    held = hold(lab)
    assert held.backends()["mta3"] > 0
    leaving.terminate()
    wait_until(lambda: states(lab).get("mta3") == "removed, draining", 20, "it has left")
    wait_until(lambda: f"sessions are open; waits for at most {LEAVE_S} s" in log.read_text(), 20, "it sees them")
    assert set(new_sessions(lab)) == {"mta1", "mta2"}
    time.sleep(register_module().HEARD_S + 1)  # nodes have heard it by then: it is sessions that it waits for
    assert leaving.poll() is None, log.read_text()
    assert not held.ended, held.ended
    held.go()
    wait_until(lambda: leaving.poll() is not None, 120, "it ends by itself")
    assert leaving.returncode == 0 and "no session is open any more" in log.read_text(), log.read_text()
    lab.backends[2].stop()  # as systemd does next
    held.wait()
    assert held.outcomes == {"delivered": OPEN}, held.summary()
    lab.backends[2].start()  # it stores what it has taken
    lab.wait_delivered()
    assert lab.tally(held).clean, lab.tally(held)


def test_a_second_signal_ends_the_wait_and_so_does_its_time(lab, etcd):
    registered = [etcd.register(0), etcd.register(1, leave_s=LEAVE_S), etcd.register(2, leave_s=4)]
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    held = hold(lab)
    for service in registered[1:]:
        service.process.terminate()
    for service in registered[1:]:
        wait_until(lambda s=service: "sessions are open" in s.log_path.read_text(), 20, "it waits")
    wait_until(lambda: registered[2].process.poll() is not None, 60, "its time is over")
    assert registered[1].process.poll() is None
    registered[1].process.send_signal(signal.SIGINT)
    wait_until(lambda: registered[1].process.poll() is not None, 20, "it is in a hurry")
    for service in registered[1:]:
        assert service.process.returncode == 0 and "ends with " in service.log_path.read_text(), service.log_path.read_text()
    require_all_delivered(lab, held)


def test_mail_servers_that_are_cut_off_from_etcd_do_not_leave_one_by_one(lab, etcd):
    registered = [etcd.register(index) for index in range(3)]
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    held = hold(lab)
    for service in registered:  # nothing of them gets there any more, and their leases end one after the other
        service.process.send_signal(signal.SIGSTOP)
        time.sleep(1)
    wait_until(lambda: not [key for key in etcd.keys() if "/backends/" in key], 60, "their leases are over")
    wait_until(lambda: discovered(lab)["missing"] >= 2, 20, "they are not believed to have left")
    assert list(states(lab).values()).count("up") >= 2, states(lab)
    assert len(new_sessions(lab)) >= 2
    for service in registered:
        service.process.send_signal(signal.SIGCONT)
    wait_until(lambda: discovered(lab)["missing"] == 0, 60, "they are back")
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    require_all_delivered(lab, held)


def test_a_file_that_is_read_again_changes_the_key_and_the_server_stays(lab, etcd):
    registered = [etcd.register(index) for index in range(3)]
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    held = hold(lab)
    config = lab.directory / "register-mta2.conf"
    config.write_text(config.read_text().replace("name = mta2\n", "name = mta2\nweight = 40\n"))
    registered[1].process.send_signal(signal.SIGHUP)
    wait_until(lambda: lab.balancer.backend("mta", "mta2", 25)["weight"]["configured"] == 40, 30, "its weight is taken")
    assert states(lab)["mta2"] == "up"
    assert "left" not in lab.balancer.ctl("events")
    require_all_delivered(lab, held)


def test_a_restart_of_all_at_once_leaves_the_pool_as_it_is(lab, etcd):
    registered = [etcd.register(index, leave_s=LEAVE_S) for index in range(3)]
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    held = hold(lab)
    for service in registered:
        service.process.terminate()
    wait_until(lambda: discovered(lab)["missing"] > 0, 20, "they say that they leave")
    wait_until(lambda: lab.balancer.status()["dataplane"]["settled"], 20, "what follows from that is in use")
    serving = [name for name, state in states(lab).items() if state == "up"]
    assert serving and set(new_sessions(lab)) == set(serving), states(lab)
    for service in registered:
        service.process.terminate()
    for service in registered:
        wait_until(lambda s=service: s.process.poll() is not None, 20, "it ends")
    for index in range(3):
        etcd.register(index)
    wait_until(lambda: discovered(lab)["missing"] == 0, 60, "they are back")
    wait_states(lab, **{name: "up" for name in ADDRESSES})
    require_all_delivered(lab, held)


HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(local, peer, state="01"):
    return f"   0: {local} {peer} {state} 00000000:00000000 02:000A7D8B 00000000     0        0 1 2 ffff 20 4 30 10 -1\n"


def test_sessions_are_counted_as_the_kernel_has_them(tmp_path):
    """As a machine with the least significant byte first writes them."""
    counts = register_module().open_sessions
    four, six = tmp_path / "tcp", tmp_path / "tcp6"
    four.write_text(HEAD + row("0B01000A:0019", "640200C0:C350") + row("0B01000A:0019", "650200C0:C350", "08")
                    + row("0B01000A:0019", "00000000:0000", "0A") + row("0B01000A:0019", "640200C0:C351", "06")
                    + row("0B01000A:0016", "640200C0:C352") + row("0100007F:0019", "0100007F:C350"))
    six.write_text(HEAD + row("B80D0120000000000000000011000000:0019", "B80D0120250000000000000000010000:C350")
                   + row("0000000000000000FFFF00000B01000A:0019", "0000000000000000FFFF0000640200C0:C353")
                   + row("0000000000000000FFFF00000100007F:0019", "0000000000000000FFFF00000100007F:C353")
                   + row("00000000000000000000000001000000:0019", "00000000000000000000000001000000:C354"))
    assert counts({25}, [four, six, tmp_path / "none"]) == 4
    assert counts({22}, [four, six]) == 1
    assert counts({465, 587}, [four, six]) == 0


def test_only_a_connection_that_was_seen_shows_that_sessions_can_be(tmp_path, monkeypatch):
    """What is left of one counts; a socket that listens does not, as a container's port may be held open on its host."""
    register, table = register_module(), tmp_path / "tcp"
    monkeypatch.setattr(register.connections, "__defaults__", ([table],))
    sight = register.Sight({25})
    table.write_text(HEAD + row("00000000:0019", "00000000:0000", "0A") + row("0100007F:0019", "0100007F:C350"))
    sight.look()
    assert not sight.is_given
    table.write_text(HEAD + row("0B01000A:0019", "640200C0:C351", "06"))
    sight.look()
    table.write_text(HEAD)
    sight.look()
    assert sight.is_given


@pytest.mark.parametrize("is_given", [True, False])
def test_where_no_session_can_be_seen_the_whole_time_is_waited_for(monkeypatch, capsys, is_given):
    register, settings, hurried = register_module(), types.SimpleNamespace(ports={25}, leave_s=3), threading.Event()
    monkeypatch.setattr(register, "connections", lambda *_: iter(()))
    monkeypatch.setattr(register, "HEARD_S", 0)
    sight, begun = register.Sight({25}), time.monotonic()
    sight.is_given = is_given
    register.wait_idle(settings, register.Registration(None, "k", {}), sight, hurried)
    said = capsys.readouterr().err
    assert ("no session is open any more" in said) == is_given, said
    assert ("saw no connection to ports [25]" in said) == (not is_given), said
    assert is_given or time.monotonic() - begun >= 3


class OneKey:
    """A store of one key, whose leases never end by themselves."""

    def __init__(self):
        self.leases, self.kvs = 0, []

    def ask(self, path, body):
        if path == "/v3/lease/grant":
            self.leases += 1
            return {"ID": str(self.leases)}
        if path == "/v3/kv/put":
            self.kvs = [{name: body[name] for name in ("key", "value", "lease")}]
        return {"/v3/kv/range": {"kvs": self.kvs}, "/v3/lease/keepalive": {"result": {"TTL": "10"}}}.get(path, {})

    @property
    def value(self):
        return json.loads(base64.b64decode(self.kvs[0]["value"]))


def test_a_key_that_is_not_as_it_was_put_is_put_again(capsys):
    store, backend = OneKey(), {"name": "mta1", "address": "10.0.1.10"}
    registration = register_module().Registration(store, "k", backend)
    assert registration.keep()
    assert not registration.keep()
    put = store.kvs
    for wrong in ([], [{**put[0], "lease": "99"}], [{**put[0], "value": "e30="}], [{**put[0], "value": "?"}]):
        store.kvs = wrong
        assert registration.keep(), wrong
        assert store.kvs == put
    assert store.leases == 1
    registration.change(store, {**backend, "weight": 7})
    assert registration.keep() and store.value["weight"] == 7
    registration.leave()
    assert not registration.keep() and store.value["leaving"]
    assert not capsys.readouterr().err


def test_a_key_of_another_server_is_left_to_it_and_told_once(capsys):
    store = OneKey()
    register = register_module()
    first, second = (register.Registration(store, "k", {"name": "mta1", "address": f"10.0.1.{each}"}) for each in (10, 11))
    first.keep()
    second.keep()
    for _ in range(3):
        assert not first.keep()
    assert store.value["address"] == "10.0.1.11"
    assert capsys.readouterr().err.count("k is that of another server, 10.0.1.11") == 1


def test_a_file_is_read_again_and_one_that_is_wrong_is_not_taken(tmp_path, capsys):
    register, path, store = register_module(), tmp_path / "register.conf", OneKey()
    text = "[etcd]\nendpoints = http://127.0.0.1:2379\n[backend]\npool = mta\nname = mta1\naddress = 10.0.1.10\n"
    path.write_text(text)
    settings = register.Settings(path)
    registration = register.Registration(store, settings.key, settings.backend)
    for wrong, said in (("weight = much\n", "is no whole number"), ("zone = a\n[etcd]\n", "already exists")):
        path.write_text(text + wrong)
        assert register.reread(path, settings, registration) is settings
        assert said in capsys.readouterr().err
    path.write_text(text.replace("mta1", "mta2"))
    assert register.reread(path, settings, registration) is settings
    assert "another key, /sluice/backends/mta/mta2, takes a restart" in capsys.readouterr().err
    path.write_text(text + "weight = 7\n[leave]\nwait = 3\n")
    assert register.reread(path, settings, registration).leave_s == 3


def test_sessions_of_this_machine_with_itself_do_not_count():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        assert register_module().open_sessions({server.getsockname()[1]}) == 0


@pytest.mark.parametrize("text, said", [("wait = -1", "[leave] wait: -1; allowed: 0 to 1500 seconds"),
                                        ("wait = 1501", "[leave] wait: 1501; allowed: 0 to 1500 seconds"),
                                        ("wait = long", "[leave] wait: is no whole number"),
                                        ("ports = 25 smtp", '[leave] ports: "smtp"; allowed: ports from 1 to 65535'),
                                        ("ports = 0", '[leave] ports: "0"; allowed: ports from 1 to 65535'),
                                        ("patience = 1", "[leave] patience: unknown setting")])
def test_settings_that_make_no_sense_are_refused(tmp_path, text, said):
    register = register_module()
    path = tmp_path / "register.conf"
    path.write_text(f"[etcd]\nendpoints = http://127.0.0.1:2379\n[backend]\npool = mta\naddress = 10.0.1.10\n[leave]\n{text}\n")
    with pytest.raises(register.Unusable) as refused:
        register.Settings(path)
    assert said in str(refused.value)


@pytest.mark.parametrize("text, ports", [("", {25, 465, 587}), ("port = 10025", {10025}), ("port = 10025\n[leave]\nports = 25, 26", {25, 26})])
def test_the_ports_of_sessions(tmp_path, text, ports):
    path = tmp_path / "register.conf"
    path.write_text(f"[etcd]\nendpoints = http://127.0.0.1:2379\n[backend]\npool = mta\naddress = 10.0.1.10\n{text}\n")
    assert register_module().Settings(path).ports == ports
