# SPDX-License-Identifier: Apache-2.0
"""A small Debian to install the packages into, and what boots it in an emulated machine: a root directory by debootstrap, a
kernel, a first root in memory that knows the disk, and the disk itself. The mirror is that of this machine's apt."""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

from lab.shell import run

from .packages import cache

SUITE = "bookworm"
# Of what the package recommends, the tool that binds cards, and the drivers of cards that QEMU has.
BASE = ["systemd-sysv", "udev", "kmod", "iputils-ping", "procps", "dpdk", "librte-net-e1000-23", "librte-net-virtio23", "librte-net-vmxnet3-23"]
KERNEL = "linux-image-cloud-amd64"
DISK_MODULES = ["virtio_pci", "virtio_blk"]
DISK_MB = 1500

INIT = """#!/bin/busybox sh
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t devtmpfs none /dev
for module in $(/bin/busybox cat /modules); do /bin/busybox insmod "$module"; done
while [ ! -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox umount /dev /proc
exec /bin/busybox switch_root /root /sbin/init
"""

# The test's way in: commands on the second serial port. Standard error is no terminal, or the shell would prompt.
SHELL_UNIT = """[Unit]
Description=Commands on the second serial port
After=multi-user.target
[Service]
ExecStart=/bin/sh -c 'exec 3<>/dev/ttyS1; stty raw -echo <&3; echo READY >&3; sh <&3 3>&- 2>&1 | cat >&3'
[Install]
WantedBy=multi-user.target
"""


def mirror():
    """The first archive in this machine's apt sources that has the suite."""
    places = [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]
    for path in (path for path in places if path.is_file()):
        text = path.read_text()
        for entry in re.split(r"\n\s*\n", text):
            fields = dict(re.findall(r"^(\w[\w-]*):\s*(.*)$", entry, re.M))
            if SUITE in fields.get("Suites", "").split() and "main" in fields.get("Components", ""):
                return fields["URIs"].split()[0]
        line = re.search(rf"^deb\s+(?:\[[^]]*\]\s+)?(\S+)\s+{SUITE}\s+.*\bmain\b", text, re.M)
        if line:
            return line[1]
    raise RuntimeError(f"apt has no source of {SUITE}")


def dependencies(package):
    """The names of what a .deb depends on, as apt would be told."""
    wanted = []
    for field in ("Depends", "Pre-Depends"):
        for part in run("dpkg-deb", "-f", package, field).split(","):
            name = part.split("|")[0].split("(")[0].strip()
            if name and not name.startswith("sluice"):
                wanted.append(name)
    return sorted(set(wanted))


def base(packages):
    """A root with what the packages depend on, but without them. Kept until that changes."""
    wanted = sorted({*BASE, *(name for path in packages.values() for name in dependencies(path))})
    key = hashlib.sha256(" ".join(wanted).encode()).hexdigest()[:16]
    root = cache() / f"base-{key}"
    if (root / "complete").exists():
        return root
    for old in cache().glob("base-*"):
        remove(old)
    # What it mounts is gone when it ends, however that is.
    run("unshare", "--mount", "--propagation", "private", "debootstrap", "--variant=minbase", SUITE, root, mirror(), timeout_s=1200)
    # No package's script starts a service here.
    (root / "usr/sbin/policy-rc.d").write_text("#!/bin/sh\nexit 101\n")
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    (root / "etc/apt/apt.conf.d/90lean").write_text('APT::Install-Recommends "0";\nAPT::Sandbox::User "root";\n')
    (root / "etc/dpkg/dpkg.cfg.d/quick").write_text("force-unsafe-io\n")
    inside(root, "apt-get", "-q", "-y", "install", *wanted, timeout_s=1200)
    inside(root, "apt-get", "clean")
    shutil.rmtree(root / "var/lib/apt/lists")
    (root / "var/lib/apt/lists").mkdir()
    (root / "complete").touch()
    return root


def inside(root, *argv, timeout_s=300, check=True):
    """Runs a program in the root, in a network and mounts of its own, but for apt, which fetches."""
    apart = [] if argv[0] == "apt-get" else ["--net"]
    script = 'set -e; mount -t proc none "$1/proc"; mount -t sysfs none "$1/sys"; mount -t tmpfs none "$1/run"; mount --rbind /dev "$1/dev"; root=$1; shift; exec chroot "$root" "$@"'
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", *apart, "sh", "-c", script, "sh", root, *map(str, argv)],
                          text=True, capture_output=True, timeout=timeout_s,
                          env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8",
                               **{name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}})
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, argv))}: exit code {done.returncode}: {(done.stdout + done.stderr)[-3000:]}")
    return done


def install(root, packages, names):
    """Installs packages as an operator does with files that he has."""
    for name in names:
        shutil.copy(packages[name], root / "tmp")
    return inside(root, "dpkg", "-i", *(f"/tmp/{packages[name].name}" for name in names)).stdout


def kernel():
    """Directory of an unpacked kernel, and its version."""
    (name,) = re.findall(r"Depends: (linux-image-\S+)", run("apt-cache", "depends", KERNEL))
    place, version = cache() / name, name.removeprefix("linux-image-")
    if not (place / "complete").exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        subprocess.run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name], cwd=place, check=True, capture_output=True, timeout=600)
        (package,) = place.glob("*.deb")
        run("dpkg", "-x", package, place)
        package.unlink()
        run("depmod", "-b", place, version)
        (place / "complete").touch()
    return place, version


def first_root(place, version):
    """The kernel's first root: busybox, and the modules of the disk."""
    image = place / "first.cpio"
    if image.exists():
        return image
    tree = place / "first"
    for name in ("bin", "dev", "proc", "root", "lib"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    shutil.copy("/bin/busybox", tree / "bin")
    loaded = []
    for module in DISK_MODULES:
        for line in run("modprobe", "-d", place, "-S", version, "--show-depends", module).splitlines():
            if line.startswith("insmod "):
                path = pathlib.Path(line.split()[1])
                shutil.copy(path, tree / "lib")
                loaded.append(f"/lib/{path.name}")
    (tree / "modules").write_text("\n".join(dict.fromkeys(loaded)) + "\n")
    (tree / "init").write_text(INIT)
    (tree / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with open(image, "wb") as out:
        subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=tree, input=names.encode(), stdout=out, check=True)
    return image


def disk(directory, packages):
    """A disk with the packages installed by dpkg, the kernel's modules, and the shell on the serial port."""
    root, image = directory / "root", directory / "disk"
    place, version = kernel()
    remove(root)
    run("cp", "-a", base(packages), root)
    install(root, packages, ["sluice"])
    run("cp", "-a", place / "lib/modules", root / "usr/lib/")
    (root / "etc/systemd/system/commands.service").write_text(SHELL_UNIT)
    inside(root, "systemctl", "enable", "commands.service")
    inside(root, "systemctl", "mask", "systemd-networkd-wait-online.service", "apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_reap.service",
           "getty.target", "serial-getty@ttyS0.service")
    run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", root, image, f"{DISK_MB}M", timeout_s=300)
    shutil.rmtree(root)
    return image, place / "boot" / f"vmlinuz-{version}", first_root(place, version)


def remove(root):
    """A root goes with all that is in it, unless something is still mounted there."""
    if any(line.split()[1].startswith(f"{root}/") for line in pathlib.Path("/proc/mounts").read_text().splitlines()):
        raise RuntimeError(f"something is mounted below {root}")
    shutil.rmtree(root, ignore_errors=True)
