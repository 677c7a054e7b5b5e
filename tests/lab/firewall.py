# SPDX-License-Identifier: Apache-2.0
"""What a firewall does for a while."""
import contextlib

from .shell import run


@contextlib.contextmanager
def firewall(namespaces, chains):
    """Rules in namespaces, as chains of nftables; they are gone afterwards."""
    for namespace in namespaces:
        run("nft", "-f", "-", namespace=namespace, stdin=f"table inet firewall {{\n{chains}\n}}\n")
    try:
        yield
    finally:
        for namespace in namespaces:
            run("nft", "delete", "table", "inet", "firewall", namespace=namespace)
