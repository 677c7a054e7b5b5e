# SPDX-License-Identifier: Apache-2.0
"""The lab's own judgement: it must see what is lost, doubled or changed."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from lab import messages  # noqa: E402


def stored(message, change=b""):
    """A message as a mail server files it: headers added, dots unstuffed, LF line ends."""
    text = message.wire.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.").replace(b"\r\n", b"\n")
    return b"Return-Path: <x>\nReceived: from y\n" + text + change


def sent(count):
    return [messages.make(f"m{i}@client", 500, i) for i in range(count)]


def judge(all_sent, mailboxes):
    ids = {message.message_id: message.body_hash for message in all_sent}
    return messages.tally(set(ids), ids, mailboxes)


def test_every_message_once_is_clean():
    first, second, third = sent(3)
    result = judge([first, second, third], {"mta1": [stored(first)], "mta2": [stored(second), stored(third)]})
    assert result.clean and result.received == {"mta1": 1, "mta2": 2}


def test_a_confirmed_message_in_no_mailbox_is_lost():
    first, second = sent(2)
    assert judge([first, second], {"mta1": [stored(second)]}).lost == [first.message_id]


def test_a_message_in_two_mailboxes_is_duplicated():
    (only,) = sent(1)
    result = judge([only], {"mta1": [stored(only)], "mta2": [stored(only)]})
    assert result.duplicated == [only.message_id] and not result.lost


def test_a_changed_body_is_corrupted():
    (only,) = sent(1)
    assert judge([only], {"mta1": [stored(only, b"x\n")]}).corrupted == [only.message_id]


def test_a_message_of_another_run_is_a_stranger():
    mine, other = sent(2)
    result = judge([mine], {"mta1": [stored(mine), stored(other)]})
    assert result.strangers == 1 and not result.clean


def test_the_wire_form_is_dot_stuffed_and_ends_with_a_dot():
    (only,) = sent(1)
    lines = only.wire.split(b"\r\n")
    assert lines[-2:] == [b".", b""]
    assert all(line.startswith(b"..") for line in lines[:-2] if line.startswith(b"."))
    assert any(line.startswith(b"..") for line in lines)
