// SPDX-License-Identifier: Apache-2.0
#include "perf/blast/backends.h"

#include <cstring>

#include "dataplane/contract/placement.h"
#include "perf/blast/dialogue.h"

namespace sluice::blast {

Backends::Family::Family(bool v6)
    : syn_ack(v6, kTcpSyn | kTcpAck, ""),
      ack(v6, kTcpAck, ""),
      greeting(v6, kTcpAck | kTcpPsh, kGreetingText),
      fin(v6, kTcpFin | kTcpAck, "") {
  for (const std::string_view asked : {"EHLO", "MAIL", "RCPT", "DATA", "QUIT", "\r\n.\r\n"}) {
    const std::string_view reply = reply_to(asked);
    replies.emplace(reply, Segment(v6, kTcpAck | kTcpPsh, reply));
  }
}

Backends::Backends(Link& link, const ClientSpace& clients, bool verify)
    : link_(link), clients_(clients), verify_(verify) {}

uint32_t Backends::initial_sequence(const Packet& packet) {
  return static_cast<uint32_t>(hash_endpoint(packet.source, hash_endpoint(packet.destination, 0)));
}

void Backends::on_segment(const rte_mbuf& mbuf, const Packet& packet) {
  const bool from_client = clients_.number(packet.source).has_value();
  (from_client ? figures_.received : figures_.others)++;
  if (verify_ && !has_right_checksums(mbuf, packet)) {
    figures_.wrong_checksum++;
    return;
  }
  if ((packet.tcp_flags & kTcpRst) != 0) return;
  Path back{link_.mac(), {}, packet.destination, packet.source};
  std::memcpy(back.destination_mac.bytes.data(), rte_pktmbuf_mtod(&mbuf, const uint8_t*) + 6, 6);
  const Family& family = packet.v6 ? v6_ : v4_;
  const uint32_t ack = packet.sequence + packet.sequence_length();
  if ((packet.tcp_flags & kTcpSyn) != 0) {
    return answer(family.syn_ack, back, initial_sequence(packet), ack, from_client);
  }
  if ((packet.tcp_flags & kTcpFin) != 0) return answer(family.fin, back, packet.ack, ack, from_client);
  if (packet.payload_bytes == 0) {
    // The handshake's last segment is the one that has seen nothing but our SYN.
    const bool opened = packet.ack == initial_sequence(packet) + 1;
    if (opened) answer(family.greeting, back, packet.ack, ack, from_client);
    return;
  }
  const std::string_view reply = reply_to(payload_of(mbuf, packet));
  const auto found = family.replies.find(reply);
  answer(found == family.replies.end() ? family.ack : found->second, back, packet.ack, ack, from_client);
}

void Backends::answer(const Segment& segment, const Path& path, uint32_t sequence, uint32_t ack, bool to_client) {
  rte_mbuf* mbuf = link_.make();
  if (mbuf == nullptr) return;
  segment.write(*mbuf, path, sequence, ack);
  figures_.sent += to_client;
  link_.send(mbuf);
}

}  // namespace sluice::blast
