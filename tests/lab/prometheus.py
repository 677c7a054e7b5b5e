# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus beside the balancer, with the rules that Sluice ships, scraping /metrics every second."""
import json
import pathlib
import subprocess

from .shell import Service, run, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "config" / "prometheus"
HTTP = "127.0.0.1:9125"  # control.http's default
LISTEN = "127.0.0.1:9090"
AUTHORIZATION, TOKEN_FILE = "authorization: {{ credentials_file: {file} }}", "/etc/prometheus/sluice-token"


def fetch(namespace, path, *options):
    """The body that the balancer's HTTP server gives for a path."""
    return run("curl", "-sS", "--fail", "--max-time", "20", *options, f"http://{HTTP}{path}", namespace=namespace)


def lint(text):
    """What `promtool check metrics` says about a page of metrics; "" if all is well."""
    done = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True, timeout=60)
    return done.stdout + done.stderr


def samples(text):
    """A page of metrics as {name and labels: value}."""
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if not line.startswith("#")}


class Prometheus:
    """Started at once; `stop()` ends it."""

    def __init__(self, namespace, directory, alertmanager=None, others=(), token_file=None):
        """`alertmanager`: where it listens, if alerts are to be told. `others`: nodes that are scraped as well; `token_file`: what all
        are shown."""
        self.namespace = namespace
        directory.mkdir()
        changes = [(f"{setting}: 15s", f"{setting}: 1s") for setting in ("scrape_interval", "evaluation_interval")]
        changes += [(f'["{HTTP}"]', json.dumps([HTTP, *others]))]
        if token_file:
            changes += [(f"# {AUTHORIZATION.format(file=TOKEN_FILE)}", AUTHORIZATION.format(file=token_file))]
        config = (RULES / "prometheus.yml").read_text()
        for old, new in changes:
            assert old in config, f"prometheus.yml no longer holds {old!r}"
            config = config.replace(old, new)
        if alertmanager:
            config += f"\nalerting: {{ alertmanagers: [ {{ static_configs: [ {{ targets: [\"{alertmanager}\"] }} ] }} ] }}\n"
        (directory / "prometheus.yml").write_text(config)
        for name in ("recording.yml", "alerts.yml"):
            (directory / name).write_text((RULES / name).read_text())
        self.service = Service("prometheus", ["prometheus", f"--config.file={directory}/prometheus.yml",
                                              f"--storage.tsdb.path={directory}/data", f"--web.listen-address={LISTEN}"],
                               directory / "prometheus.log", namespace)

    def get(self, path, **parameters):
        options = [word for name, value in parameters.items() for word in ("--data-urlencode", f"{name}={value}")]
        out = subprocess.run(["ip", "netns", "exec", self.namespace, "curl", "-sS", "--get", "--max-time", "20", *options,
                              f"http://{LISTEN}/api/v1/{path}"], text=True, capture_output=True, timeout=30)
        return json.loads(out.stdout)["data"] if out.returncode == 0 and '"success"' in out.stdout else None

    def query(self, expression):
        """The instant vector as [(labels, value)]; None if it cannot be had."""
        data = self.get("query", query=expression)
        return None if data is None else [(one["metric"], float(one["value"][1])) for one in data["result"]]

    def value(self, expression):
        """The one value there is, or None."""
        found = self.query(expression) or []
        return found[0][1] if len(found) == 1 else None

    def wait(self, expression, condition=lambda value: True, timeout_s=60):
        """Waits until the expression has one value that meets the condition, and returns it."""
        def check():
            self.service.require_running()
            value = self.value(expression)
            return None if value is None or not condition(value) else (value,)
        return wait_until(check, timeout_s, expression, interval_s=0.3)[0]

    def stop(self):
        self.service.stop()
