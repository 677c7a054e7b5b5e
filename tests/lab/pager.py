# SPDX-License-Identifier: Apache-2.0
"""A real Alertmanager behind the lab's Prometheus, and the pager that it calls.

    python3 -m lab.pager PORT FILE    the pager: keeps what Alertmanager posts, a JSON line for each alert
"""
import http.server
import json
import sys
import time

from .mailer import TESTS
from .shell import Service, run, wait_until

ALERTMANAGER, PAGER_PORT = "127.0.0.1:9093", 9094
# Without the waits that spare people's nerves: what pages does so at once.
CONFIG = f"""
route: {{ receiver: pager, group_by: ["..."], group_wait: 0s, group_interval: 1s, repeat_interval: 4h }}
receivers: [ {{ name: pager, webhook_configs: [ {{ url: "http://127.0.0.1:{PAGER_PORT}/", send_resolved: true }} ] }} ]
"""


class Pager:
    """Both, in a namespace. `notes()` is what has been said so far."""

    def __init__(self, namespace, directory):
        directory.mkdir()
        self._notes = directory / "notes"
        self._notes.touch()
        (directory / "alertmanager.yml").write_text(CONFIG)
        self._services = [
            Service("pager", [sys.executable, "-m", "lab.pager", PAGER_PORT, self._notes], directory / "pager.log", namespace,
                    {"PYTHONPATH": str(TESTS), "PYTHONDONTWRITEBYTECODE": "1"}),
            Service("alertmanager", ["prometheus-alertmanager", f"--config.file={directory}/alertmanager.yml",
                                     f"--storage.path={directory}/data", f"--web.listen-address={ALERTMANAGER}",
                                     "--cluster.listen-address="], directory / "alertmanager.log", namespace)]
        for port in (PAGER_PORT, ALERTMANAGER.split(":")[1]):
            wait_until(lambda wanted=port: self._require_running() or f":{wanted} " in run("ss", "-Hltn", namespace=namespace), 30,
                       "Alertmanager and the pager listen")

    def _require_running(self):
        for service in self._services:
            service.require_running()

    def notes(self, severity):
        """Alert -> {instance that it is about: time of the first call}, of each that began to fire, in the order in which they came."""
        out = {}
        for note in map(json.loads, self._notes.read_text().splitlines()):
            if note["severity"] == severity and note["status"] == "firing":
                out.setdefault(note["alert"], {}).setdefault(note["instance"], note["time"])
        return out

    def stop(self):
        for service in reversed(self._services):
            service.stop()


class Handler(http.server.BaseHTTPRequestHandler):
    file = ""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open(self.file, "a") as notes:
            for alert in body["alerts"]:
                labels = alert["labels"]
                note = {"time": time.time(), "status": alert["status"], "alert": labels["alertname"],
                        "severity": labels["severity"], "instance": labels.get("instance", "")}
                notes.write(json.dumps(note) + "\n")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *unused):
        pass


if __name__ == "__main__":
    Handler.file = sys.argv[2]
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
