# SPDX-License-Identifier: Apache-2.0
"""What a client of Python's ssl says when it begins TLS, and its JA4 fingerprint, as FoxIO defines it, apart from ours."""
import contextlib
import hashlib
import ssl

VERSIONS = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10"}
SERVER_NAME, SIGNATURES, ALPN, SUPPORTED_VERSIONS = 0, 13, 16, 43


def hello_of(context, name):
    """The ClientHello, a handshake message, of a client with that context."""
    said = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname=name).do_handshake()
    return said.read()[5:]


def numbers(octets):
    """Of two bytes each, without GREASE."""
    all_of = [int.from_bytes(octets[i:i + 2], "big") for i in range(0, len(octets), 2)]
    return [number for number in all_of if number & 0x0f0f != 0x0a0a or number >> 8 != number & 0xff]


def vector(octets, width):
    """(what stands behind its length, the rest)"""
    end = width + int.from_bytes(octets[:width], "big")
    return octets[width:end], octets[end:]


def extensions_of(octets):
    out = {}
    while octets:
        kind = int.from_bytes(octets[:2], "big")
        out[kind], octets = vector(octets[2:], 2)
    return out


def fingerprint(hello):
    _, rest = vector(hello[4 + 2 + 32:], 1)
    ciphers, rest = vector(rest, 2)
    _, rest = vector(rest, 1)
    extensions = extensions_of(vector(rest, 2)[0])
    version = max(numbers(extensions[SUPPORTED_VERSIONS][1:])) if SUPPORTED_VERSIONS in extensions else int.from_bytes(hello[4:6], "big")
    protocol = vector(extensions[ALPN][2:], 1)[0].decode() if ALPN in extensions else "00"
    ciphers = numbers(ciphers)
    kinds = numbers(b"".join(kind.to_bytes(2, "big") for kind in extensions))
    sorted_kinds = ",".join(f"{kind:04x}" for kind in sorted(kinds) if kind not in (SERVER_NAME, ALPN))
    signatures = ",".join(f"{number:04x}" for number in numbers(extensions.get(SIGNATURES, b"")[2:]))

    def digest(text):
        return hashlib.sha256(text.encode()).hexdigest()[:12]
    return (f"t{VERSIONS[version]}{'d' if SERVER_NAME in extensions else 'i'}{len(ciphers):02}{len(kinds):02}{protocol[0]}{protocol[-1]}_"
            f"{digest(','.join(f'{number:04x}' for number in sorted(ciphers)))}_{digest(sorted_kinds + '_' + signatures)}")
