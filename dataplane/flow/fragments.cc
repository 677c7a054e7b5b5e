// SPDX-License-Identifier: Apache-2.0
#include "dataplane/flow/fragments.h"

#include <cstring>

#include "dataplane/flow/keyed_hash.h"
#include "dataplane/packet/checksum.h"

namespace sluice {

uint32_t FragmentTable::set_of(const Packet& packet) const noexcept {
  const uint64_t of_source = keyed_hash({packet.source.address, Be16{}}, seed_);
  return keyed_hash({packet.destination.address, Be16{}}, of_source) % kSets;
}

bool FragmentTable::is_of(const Entry& entry, const Packet& packet) noexcept {
  return entry.id == packet.fragment_id && entry.source.address == packet.source.address &&
         entry.destination.address == packet.destination.address;
}

bool FragmentTable::is_fresh(const Entry& entry, uint64_t now_ms) noexcept {
  return entry.tcp_header_bytes != 0 && static_cast<uint32_t>(now_ms) - entry.seen_ms <= kLifetimeMs;
}

void FragmentTable::remember(const Packet& packet, uint64_t now_ms) noexcept {
  auto& set = sets_[set_of(packet)];
  Entry* place = &set[0];
  uint32_t oldest_age = 0;
  for (Entry& entry : set) {
    const uint32_t age = is_fresh(entry, now_ms) ? static_cast<uint32_t>(now_ms) - entry.seen_ms : UINT32_MAX;
    if (is_of(entry, packet)) {
      place = &entry;
      break;
    }
    if (age >= oldest_age) {
      place = &entry;
      oldest_age = age;
    }
  }
  *place = {packet.source, packet.destination, packet.fragment_id, static_cast<uint32_t>(now_ms),
            packet.tcp_header_bytes};
}

bool FragmentTable::complete(Packet& packet, uint32_t offset_bytes, uint64_t now_ms) const noexcept {
  for (const Entry& entry : sets_[set_of(packet)]) {
    if (!is_fresh(entry, now_ms) || !is_of(entry, packet)) continue;
    packet.source.port = entry.source.port;
    packet.destination.port = entry.destination.port;
    return offset_bytes >= entry.tcp_header_bytes;
  }
  return false;
}

uint32_t fragment_offset_bytes(const rte_mbuf& mbuf, const Packet& packet) noexcept {
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  // IPv6 counts in the upper 13 bits of its field, which lies 6 bytes before the data; IPv4 in the lower 13.
  if (packet.v6) return Be16{load<uint16_t>(data + packet.l4_offset - 6)}.host() & 0xfff8U;
  return (Be16{load<uint16_t>(data + packet.l3_offset + ipv4::kFragment)}.host() & 0x1fffU) * 8;
}

void rewrite_fragment(rte_mbuf& mbuf, const Packet& packet, const Address& source,
                      const Address& destination) noexcept {
  uint8_t* header = rte_pktmbuf_mtod(&mbuf, uint8_t*) + packet.l3_offset;
  if (packet.v6) {
    std::memcpy(header + ipv6::kSource, source.bytes.data(), 16);
    std::memcpy(header + ipv6::kDestination, destination.bytes.data(), 16);
    header[ipv6::kHopLimit]--;
    return;
  }
  const uint16_t before = fold(sum_words(header + ipv4::kSource, 8));
  std::memcpy(header + ipv4::kSource, &source.bytes[12], 4);
  std::memcpy(header + ipv4::kDestination, &destination.bytes[12], 4);
  header[ipv4::kTtl]--;
  const uint16_t after = fold(sum_words(header + ipv4::kSource, 8));
  store(header + ipv4::kChecksum, update_checksum_and_ttl(load<uint16_t>(header + ipv4::kChecksum), before, after));
}

}  // namespace sluice
