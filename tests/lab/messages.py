# SPDX-License-Identifier: Apache-2.0
"""Messages that can be recognised: a unique id, and a random body whose hash both ends compute."""
import base64
import dataclasses
import hashlib
import random
import re

DOMAIN = "lab.test"
SENDER = f"sender@client.{DOMAIN}"
RECIPIENT = f"inbox@{DOMAIN}"

_MESSAGE_ID = re.compile(rb"^Message-ID: <([^>]+)>", re.MULTILINE | re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Message:
    message_id: str
    body_hash: str
    wire: bytes  # what follows DATA: dot-stuffed, with the final dot


def make(message_id, size, seed):
    """A message with about `size` octets of random body."""
    rng = random.Random(seed)
    text = base64.encodebytes(rng.randbytes(max(size * 3 // 4, 1))).replace(b"\n", b"\r\n")
    body = b".a line that starts with a dot\r\n" + text
    head = (f"From: <{SENDER}>\r\nTo: <{RECIPIENT}>\r\nMessage-ID: <{message_id}>\r\n"
            f"Subject: lab message {message_id}\r\n\r\n").encode()
    stuffed = body.replace(b"\r\n.", b"\r\n..")
    stuffed = b"." + stuffed if stuffed.startswith(b".") else stuffed
    return Message(message_id, hash_body(body), head + stuffed + b".\r\n")


def hash_body(body):
    """SHA-256 of a body, whatever its line ends."""
    return hashlib.sha256(body.replace(b"\r\n", b"\n")).hexdigest()


def read_stored(data):
    """(message id, hash of the body) of a message as a mail server stored it."""
    data = data.replace(b"\r\n", b"\n")
    head, _, body = data.partition(b"\n\n")
    found = _MESSAGE_ID.search(head)
    return (found[1].decode() if found else None), hash_body(body)


@dataclasses.dataclass
class Tally:
    """What became of the messages whose delivery was confirmed to the client, by the mailboxes themselves."""
    received: dict    # backend name -> count of messages stored
    lost: list        # ids confirmed, and in no mailbox
    duplicated: list  # ids stored more than once
    corrupted: list   # ids stored with another body
    strangers: int    # stored messages that were not sent by this run

    @property
    def clean(self):
        return not (self.lost or self.duplicated or self.corrupted or self.strangers)


def tally(confirmed, attempted, mailboxes):
    """Compares. `confirmed`: id -> body hash, of messages the server took responsibility for; `attempted`: likewise, of
    all that were sent at least in part; `mailboxes`: backend name -> iterable of stored messages (bytes)."""
    received, seen, corrupted, strangers = {}, {}, [], 0
    for name, stored in mailboxes.items():
        received[name] = 0
        for data in stored:
            received[name] += 1
            message_id, body_hash = read_stored(data)
            if message_id not in attempted:
                strangers += 1
                continue
            seen[message_id] = seen.get(message_id, 0) + 1
            if attempted[message_id] != body_hash:
                corrupted.append(message_id)
    lost = [message_id for message_id in confirmed if message_id not in seen]
    duplicated = [message_id for message_id, count in seen.items() if count > 1]
    return Tally(received, lost, duplicated, corrupted, strangers)
