# SPDX-License-Identifier: Apache-2.0
"""A host of MTA-STS policies: HTTPS, and nothing but the file.

    python3 -m lab.policy_host ADDRESS CERTIFICATE KEY FILE
"""
import http.server
import pathlib
import ssl
import sys

HTTPS_PORT = 443
PATH = "/.well-known/mta-sts.txt"


class Handler(http.server.BaseHTTPRequestHandler):
    file = pathlib.Path()

    def do_GET(self):
        if self.path != PATH:
            return self.send_error(404)
        text = self.file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def main(address, certificate, key, file):
    Handler.file = pathlib.Path(file)
    server = http.server.ThreadingHTTPServer((address, HTTPS_PORT), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
