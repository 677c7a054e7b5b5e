# SPDX-License-Identifier: Apache-2.0
"""An agent of HAProxy's agent-check protocol: to whoever connects it says the line that a file holds, and closes.

    python3 -m lab.agent FILE PORT
"""
import pathlib
import socketserver
import sys


class Agent(socketserver.StreamRequestHandler):
    path = pathlib.Path()

    def handle(self):
        self.wfile.write(Agent.path.read_bytes())


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    Agent.path = pathlib.Path(sys.argv[1])
    Server(("0.0.0.0", int(sys.argv[2])), Agent).serve_forever()
