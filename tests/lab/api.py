# SPDX-License-Identifier: Apache-2.0
"""Control's HTTP listener as a client meets it, from within a namespace; and as a bad client does, by bare sockets."""
import ctypes
import http.client
import json
import os
import socket
import threading

import jsonschema

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)
ADDRESS = ("127.0.0.1", 9125)  # control.http by default


def within(namespace, function):
    """What `function()` returns, run on a thread that has moved into the network namespace."""
    result = {}

    def body():
        try:
            with open(f"/run/netns/{namespace}") as handle:
                if LIBC.setns(handle.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            result["value"] = function()
        except BaseException as error:  # handed to the caller
            result["error"] = error
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if "error" in result:
        raise result["error"]
    return result["value"]


def sockets(namespace, count, address=ADDRESS):
    """Connected sockets: a socket stays in the namespace that it was made in."""
    return within(namespace, lambda: [socket.create_connection(address, timeout=60) for _ in range(count)])


def described(path, description, status=200):
    """The schema of the answer at a path such as /api/v1/services/{name}, its references resolvable."""
    answer = description["paths"][path]["get"]["responses"][str(status)]
    while "$ref" in answer:
        answer = description["components"]["responses"][answer["$ref"].split("/")[-1]]
    (content,) = answer["content"].values()
    return {**content["schema"], "components": description["components"]}


def require_as_described(answer, path, description, status=200):
    validator = jsonschema.Draft202012Validator(described(path, description, status))
    faults = [f"{list(error.absolute_path)}: {error.message[:300]}" for error in validator.iter_errors(answer)]
    assert not faults, f"{path}: {faults[:5]}"


class Api:
    """Requests over TCP from inside the balancer's namespace."""

    def __init__(self, namespace, address=ADDRESS, tls=None, token=None):
        """`tls`: an SSLContext, for a server that speaks TLS. `token`: shown with every request."""
        self.namespace, self.address, self.tls = namespace, address, tls
        self.shown = {"Authorization": f"Bearer {token}"} if token else {}

    def request(self, path, method="GET", body=None, **headers):
        """(status, headers, body as text)"""
        def ask():
            connection = (http.client.HTTPSConnection(*self.address, timeout=20, context=self.tls) if self.tls else
                          http.client.HTTPConnection(*self.address, timeout=20))
            try:
                names = {name.replace("_", "-"): value for name, value in {**self.shown, **headers}.items()}
                connection.request(method, path, body, names)
                answer = connection.getresponse()
                return answer.status, answer.headers, answer.read().decode()
            finally:
                connection.close()
        return within(self.namespace, ask)

    def get(self, path):
        """The JSON at `path`."""
        status, _, body = self.request(path)
        assert status == 200, f"{path}: {status} {body}"
        return json.loads(body)
