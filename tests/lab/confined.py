# SPDX-License-Identifier: Apache-2.0
"""Runs a program as a systemd unit would have it run, where systemd is not the first process: its user and groups, its
capabilities, no new privileges, its filter of system calls, its mask for new files."""
import grp
import json
import os
import pathlib
import pwd
import subprocess
import sys

from .balancer import EXAMPLE, Balancer
from .shell import Service, in_namespace, run

# Runs in a Python of its own as the unit's user, and becomes the program. libseccomp is what systemd filters with.
FILTER = """
import ctypes, errno, json, os, sys
allowed, umask = json.loads(sys.argv[1])
os.umask(umask)
library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
library.seccomp_init.restype = ctypes.c_void_p
ALLOW, REFUSE = 0x7fff0000, 0x00050000 | errno.EPERM
filter = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(REFUSE)))
for name in allowed:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number >= 0:
        library.seccomp_rule_add(filter, ctypes.c_uint32(ALLOW), number, 0)
if library.seccomp_load(filter):
    sys.exit("the filter of system calls could not be set")
os.execv(sys.argv[2], sys.argv[2:])
"""


def settings(unit, *drop_ins):
    """Setting -> its lines, of the [Service] section of a unit and what is laid upon it."""
    out = {}
    for path in (unit, *drop_ins):
        section = ""
        for line in pathlib.Path(path).read_text().splitlines():
            if line.startswith("["):
                section = line
            elif section == "[Service]" and "=" in line and not line.startswith("#"):
                name, value = line.split("=", 1)
                out.setdefault(name, []).append(value)
    return out


def system_calls(lines):
    """The names that SystemCallFilter= allows in the end."""
    allowed = set(members("@default"))
    for line in lines:
        takes_away = line.startswith("~")
        for word in line.removeprefix("~").split():
            (allowed.difference_update if takes_away else allowed.update)(members(word))
    return sorted(allowed | {"execve"})


def members(word):
    """A group's system calls, those of groups in it, too; or the one itself."""
    if not word.startswith("@"):
        return {word}
    out = set()
    for line in run("systemd-analyze", "syscall-filter", word).splitlines()[1:]:
        name = line.strip()
        if name and not name.startswith("#"):
            out |= members(name)
    return out


def command(unit, argv, *drop_ins):
    """The command line that runs `argv` so."""
    service = settings(unit, *drop_ins)
    user = service["User"][-1]
    group = service.get("Group", [user])[-1]
    groups = [grp.getgrnam(name).gr_gid for line in service.get("SupplementaryGroups", []) for name in line.split()]
    bounding = words(service, "CapabilityBoundingSet")
    ambient = words(service, "AmbientCapabilities")
    # LimitMEMLOCK=infinity: this process may be unable to give that.
    if service.get("LimitMEMLOCK") == ["infinity"]:
        bounding, ambient = bounding | {"ipc_lock"}, ambient | {"ipc_lock"}
    plan = json.dumps([system_calls(service["SystemCallFilter"]), int(service["UMask"][-1], 8)])
    return ["setpriv", f"--reuid={user}", f"--regid={group}", f"--groups={','.join(map(str, groups))}" if groups else "--clear-groups",
            f"--bounding-set={plus(bounding)}", f"--inh-caps={plus(ambient)}", f"--ambient-caps={plus(ambient)}", "--no-new-privs",
            sys.executable, "-c", FILTER, plan, *map(str, argv)]


def words(service, name):
    return {word.lower().removeprefix("cap_") for line in service.get(name, []) for word in line.split()}


def plus(capabilities):
    return ",".join(["-all", *(f"+{name}" for name in sorted(capabilities))])


def users_exist():
    """Whether the users of the package are there."""
    try:
        return bool(pwd.getpwnam("sluice-control") and pwd.getpwnam("sluice-dataplane"))
    except KeyError:
        return False


def make_users(sysusers):
    """As the package does. They stay, as they do when the package goes."""
    if not users_exist():
        run("systemd-sysusers", pathlib.Path(sysusers).resolve())


def standing(pid):
    """What the kernel says of a process: user and group, groups, effective and bounding capabilities, whether it is filtered."""
    lines = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return {"user": pwd.getpwuid(int(lines["Uid"].split()[1])).pw_name, "group": grp.getgrgid(int(lines["Gid"].split()[1])).gr_name,
            "groups": {grp.getgrgid(int(word)).gr_name for word in lines["Groups"].split()},
            "effective": capabilities(lines["CapEff"]), "bounding": capabilities(lines["CapBnd"]),
            "filtered": lines["Seccomp"].strip() == "2", "no_new_privileges": lines["NoNewPrivs"].strip() == "1"}


def threads(pid):
    """Thread's name -> its effective capabilities."""
    out = {}
    for path in pathlib.Path(f"/proc/{pid}/task").iterdir():
        lines = dict(line.split(":", 1) for line in (path / "status").read_text().splitlines())
        out[lines["Name"].strip()] = capabilities(lines["CapEff"])
    return out


NAMES = {12: "net_admin", 13: "net_raw", 14: "ipc_lock", 21: "sys_admin"}


def capabilities(text):
    value = int(text.strip(), 16)
    return {NAMES.get(number, str(number)) for number in range(64) if value >> number & 1}


class ConfinedBalancer(Balancer):
    """Both processes from an installation below `root`, each as its unit says, in directories as the package makes them."""

    def __init__(self, network, directory, root, config=EXAMPLE):
        super().__init__(network, directory, config)
        self.root = pathlib.Path(root)
        self._programs = {name: self.installed(f"sbin/{name}") for name in self._programs}
        make_users(self.installed("sysusers.d/sluice.conf"))
        self.directory.chmod(0o755)
        run("install", "-d", "-m", "750", "-o", "sluice-control", "-g", "sluice", self.state)

    def installed(self, suffix):
        """The one installed file whose path ends so."""
        (path,) = [path for path in self.root.rglob("*") if path.is_file() and str(path).endswith(suffix)]
        return path

    def unit(self, name):
        return self.installed(f"system/{name}@.service")

    def drop_ins(self, name):
        """What the devices of the lab's configuration need."""
        by_af_xdp = name == "sluice-dataplane" and "net_af_xdp" in self.config.read_text()
        return [self.installed("examples/af_xdp.conf")] if by_af_xdp else []

    def start_dataplane(self, timeout_s=30):
        run("env", f"SLUICE_RUNTIME_ROOT={self.runtime}", self.installed("sluice/prepare-instance"), "lab")
        super().start_dataplane(timeout_s)

    def _service(self, name, *args):
        argv = command(self.unit(name), [self.program(name), *args], *self.drop_ins(name))
        return Service(name, argv, self.directory / f"{name}.log", self.network.balancer, self.env)

    def reload(self):
        """What `systemctl reload` runs, as control's unit."""
        argv = command(self.unit("sluice-control"), [self.program("sluicectl"), "--config", self.config, "reload"])
        return subprocess.run(in_namespace(self.network.balancer, argv), text=True, capture_output=True, timeout=60,
                              env={**os.environ, **self.env})
