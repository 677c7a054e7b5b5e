# SPDX-License-Identifier: Apache-2.0
"""The lab's certificate authority and the certificates it gives to mail servers. P-256 throughout: cheap to use."""
import ipaddress
import pathlib

from .shell import run


def alternative_name(name):
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        return f"DNS:{name}"


class Authority:
    """A throw-away certificate authority in a directory of its own."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.certificate = self.directory / "ca.pem"
        self._key = self.directory / "ca.key"
        run("openssl", "req", "-x509", *self._new_key(self._key), "-out", self.certificate, "-days", "2",
            "-subj", "/CN=Sluice lab CA", "-addext", "basicConstraints=critical,CA:TRUE")

    @staticmethod
    def _new_key(path):
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path)

    def issue(self, file_name, names, days=2, clock=()):
        """A certificate for names or addresses; returns the paths of certificate and key. Negative days: expired. `clock`: words before the
        command, for a clock that runs otherwise."""
        stem = self.directory / file_name
        request, extensions = stem.with_suffix(".csr"), stem.with_suffix(".ext")
        key, certificate = stem.with_suffix(".key"), stem.with_suffix(".pem")
        extensions.write_text("subjectAltName=" + ",".join(alternative_name(name) for name in names) + "\n")
        run("openssl", "req", "-new", *self._new_key(key), "-out", request, "-subj", f"/CN={names[0]}")
        run(*clock, "openssl", "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key,
            "-CAcreateserial", "-days", days, "-extfile", extensions, "-out", certificate)
        return certificate, key
