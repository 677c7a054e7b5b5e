// SPDX-License-Identifier: Apache-2.0
//
// Worker::enter, which two translation units need inline: worker.cc for what devices receive, worker_handover.cc for
// what other workers hand over.
#pragma once

#include "dataplane/parse_usual.h"
#include "dataplane/worker.h"

namespace sluice {

// Inline by force: what the loop around it keeps in registers is a tenth of a packet's way.
[[gnu::always_inline]] inline uint32_t Worker::enter(uint32_t kept, Arrival how, rte_mbuf* mbuf) noexcept {
  const auto [port, faces, mac_word, mine, asker] = how;
  Burst& burst = burst_;
  Packet& packet = burst.packet[kept];
  const bool usual = parse_usual(*mbuf, usual_frame(mac_word), packet);
  const ParseVerdict verdict = usual ? ParseVerdict::kTcp : parse_any(*mbuf, setup_.port[port].mac, packet);
  if (verdict != ParseVerdict::kTcp) [[unlikely]] {
    if (!put_aside(port, mbuf, packet, verdict, mine, asker)) return kept;
  }
  const Endpoint source = usual ? end_of_usual(*mbuf, true) : packet.source;
  const Endpoint destination = usual ? end_of_usual(*mbuf, false) : packet.destination;
  const bool from_client =
      faces == Faces::kClients || (faces == Faces::kBoth && state_.find_service(destination) != channel::kNoService);
  const uint64_t hash = flows_.hash(from_client ? source : destination);
  if (!mine) {
    const uint32_t owner = from_client ? owner_of_client(hash) : owner_of_reply(packet.destination, hash);
    if (owner != setup_.index) {
      hand_over(owner, port, mbuf, {Handed::kProcess, 0});
      return kept;
    }
  }
  FlowPlace place = flows_.place(hash);
  if (has_fullnat_ && !from_client) [[unlikely]]
    place = place_of_reply(packet);
  if (verdict == ParseVerdict::kFirstFragment) [[unlikely]] {
    if (!take_first_fragment(port, mbuf, packet, place, from_client, asker)) return kept;
  }
  flows_.prefetch_bucket(place);
  burst.mbuf[kept] = mbuf;
  burst.port[kept] = static_cast<uint8_t>(port);
  burst.from_client[kept] = from_client;
  burst.place[kept] = place;
  return kept + 1;
}

}  // namespace sluice
