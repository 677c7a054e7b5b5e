// SPDX-License-Identifier: Apache-2.0
//
// What strangers' bytes are played to: one function for each target of the fuzzer, in the file of its name. Each holds
// laws that are true of every input; what breaks one fails the test that is running.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace sluice::testing {

using FuzzInput = std::span<const uint8_t>;

inline std::string text_of(FuzzInput bytes) {
  return {bytes.begin(), bytes.end()};
}

/// Flow memory of a run that had flows of all kinds, damaged as the bytes say, is given to a worker, or to the workers
/// of a run with another number of them, and the rest of the bytes is played as traffic. The laws are the worker's.
void play_adoption(FuzzInput bytes);

/// What a client sends as its first TLS record. What is read of it does not depend on how it was cut, can be printed,
/// and has a fingerprint.
void play_client_hello(FuzzInput bytes);

/// A configuration file. It is taken, the same way each time, or its faults are told, each in a line.
void play_config(FuzzInput bytes);

/// An SMTP dialogue that a worker watches. What is counted does not depend on how it was cut into segments, nor on
/// segments that come twice, and nothing is remembered when it is over.
void play_dialogue(FuzzInput bytes);

/// Members of a pool: a document of them, or (where the first byte is no brace) an answer of the DNS. They are as the
/// file may have them, or their faults are told, each in a line.
void play_discovery(FuzzInput bytes);

/// What etcd answers, by the first byte: keys, a lease, a fault, a watch, or what a node says. It is read or refused,
/// in words for a terminal; a watch says the same however its bytes were cut; and what keys hold is members, or named
/// faults.
void play_etcd(FuzzInput bytes);

/// A haproxy.cfg. What is made of it is a configuration that we take; or it is said why there is none.
void play_haproxy(FuzzInput bytes);

/// Likewise a keepalived.conf.
void play_keepalived(FuzzInput bytes);

/// A request to control's API, from the Unix socket, this host or elsewhere, by the first byte. It reaches a handler
/// only if it may, what a body or a query asks for is within bounds, and it is answered once, in JSON.
void play_http(FuzzInput bytes);

/// A datagram of another node. Without the key nothing of it is believed, nor if it was recorded before; with it, the
/// table holds what it tells, and no more than there is room for.
void play_peers(FuzzInput bytes);

/// A server or an agent that a check speaks with. The verdict does not depend on how its bytes were cut, and nothing
/// is said to a server that has not greeted.
void play_probe(FuzzInput bytes);

/// What a domain publishes of mail security, by the first byte: an answer of the DNS with TLSA records ('r') or texts
/// ('t'), or else a policy of MTA-STS. It is read or refused, in words for a terminal; what was read of a policy,
/// written down, reads the same.
void play_security(FuzzInput bytes);

/// A file of control's state directory, by the first byte. It is read, and what was read reads the same when it is
/// written again; or it is said that it makes no sense, and control goes on without it.
void play_state(FuzzInput bytes);

/// What stations of a link answer the doctor: two bytes of Ethernet's type, and what is behind it. What is read of it
/// is of one family, and reads the same when it is written down.
void play_stations(FuzzInput bytes);

/// Clients whose SYNs we answer in their backend's place, and backends, both with any options, windows and numbers,
/// out of turn and in vain. The laws are the worker's.
void play_syn_proxy(FuzzInput bytes);

/// What etcd says of wishes and blocks, and what is kept of them, by the first byte. What makes no sense is named in a
/// line, and wishes for nothing; the rest is written as it was read, and whose word it is can be told.
void play_wishes(FuzzInput bytes);

/// Traffic and commands for fresh workers. After each of their turns the counter law has to hold, for each worker, and
/// at the end every packet buffer is back in the pool.
void play_worker(FuzzInput bytes);

}  // namespace sluice::testing
