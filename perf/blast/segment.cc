// SPDX-License-Identifier: Apache-2.0
#include "perf/blast/segment.h"

#include <algorithm>
#include <cstring>

#include "dataplane/packet/checksum.h"

namespace sluice::blast {

Segment::Segment(bool v6, uint8_t flags, std::string_view payload)
    : v6_(v6), length_(static_cast<uint32_t>(payload.size()) + ((flags & (kTcpSyn | kTcpFin)) != 0 ? 1 : 0)) {
  const uint32_t l3_bytes = v6 ? ipv6::kBytes : ipv4::kBytes;
  const uint32_t option_bytes = (flags & kTcpSyn) != 0 ? 4 : 0;
  const auto tcp_bytes = static_cast<uint32_t>(tcp::kBytes + option_bytes + payload.size());
  l4_offset_ = kEthernetBytes + l3_bytes;
  bytes_.resize(l4_offset_ + tcp_bytes);
  store(&bytes_[12], Be16::of(v6 ? kEtherTypeIpv6 : kEtherTypeIpv4));
  uint8_t* l3 = &bytes_[kEthernetBytes];
  if (v6) {
    l3[0] = 0x60;
    store(l3 + ipv6::kPayloadLength, Be16::of(static_cast<uint16_t>(tcp_bytes)));
    l3[ipv6::kNextHeader] = 6;
    l3[ipv6::kHopLimit] = 64;
  } else {
    l3[0] = 0x45;
    store(l3 + ipv4::kTotalLength, Be16::of(static_cast<uint16_t>(l3_bytes + tcp_bytes)));
    l3[ipv4::kFragment] = 0x40;  // don't fragment
    l3[ipv4::kTtl] = 64;
    l3[ipv4::kProtocol] = 6;
  }
  uint8_t* l4 = &bytes_[l4_offset_];
  l4[tcp::kOffset] = static_cast<uint8_t>((tcp::kBytes + option_bytes) / 4 << 4);
  l4[tcp::kFlags] = flags;
  store(l4 + tcp::kWindow, Be16::of(0xffff));
  if (option_bytes != 0) {
    l4[tcp::kBytes] = 2;  // maximum segment size
    l4[tcp::kBytes + 1] = 4;
    store(l4 + tcp::kBytes + 2, Be16::of(kMss));
  }
  std::copy(payload.begin(), payload.end(), l4 + tcp::kBytes + option_bytes);
  l3_sum_ = v6 ? 0 : sum_words(l3, l3_bytes);
  l4_sum_ = sum_words(l4, tcp_bytes) + Be16::of(6).raw + Be32::of(tcp_bytes).raw;
}

void Segment::write(rte_mbuf& mbuf, const Path& path, uint32_t sequence, uint32_t ack) const {
  auto* data = rte_pktmbuf_mtod(&mbuf, uint8_t*);
  std::memcpy(data, bytes_.data(), bytes_.size());
  mbuf.data_len = static_cast<uint16_t>(bytes_.size());
  mbuf.pkt_len = mbuf.data_len;
  std::memcpy(data, path.destination_mac.bytes.data(), 6);
  std::memcpy(data + 6, path.source_mac.bytes.data(), 6);
  uint8_t* l3 = data + kEthernetBytes;
  uint8_t* l4 = data + l4_offset_;
  const uint64_t addresses = uint64_t{address_sum(path.source.address)} + address_sum(path.destination.address);
  if (v6_) {
    std::memcpy(l3 + ipv6::kSource, path.source.address.bytes.data(), 16);
    std::memcpy(l3 + ipv6::kDestination, path.destination.address.bytes.data(), 16);
  } else {
    std::memcpy(l3 + ipv4::kSource, &path.source.address.bytes[12], 4);
    std::memcpy(l3 + ipv4::kDestination, &path.destination.address.bytes[12], 4);
    store(l3 + ipv4::kChecksum, static_cast<uint16_t>(~fold(l3_sum_ + addresses)));
  }
  const Be32 be_sequence = Be32::of(sequence);
  const Be32 be_ack = Be32::of(ack);
  store(l4 + tcp::kSourcePort, path.source.port);
  store(l4 + tcp::kDestinationPort, path.destination.port);
  store(l4 + tcp::kSequence, be_sequence);
  store(l4 + tcp::kAck, be_ack);
  const uint64_t sum =
      l4_sum_ + addresses + path.source.port.raw + path.destination.port.raw + be_sequence.raw + be_ack.raw;
  store(l4 + tcp::kChecksum, static_cast<uint16_t>(~fold(sum)));
}

bool has_right_checksums(const rte_mbuf& mbuf, const Packet& packet) {
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  const uint32_t l3_bytes = uint32_t{packet.l4_offset} - packet.l3_offset;
  if (!packet.v6 && ipv4_checksum(data + packet.l3_offset, l3_bytes) != 0) return false;
  return tcp_checksum(packet.source.address, packet.destination.address, data + packet.l4_offset,
                      packet.ip_bytes - l3_bytes) == 0;
}

}  // namespace sluice::blast
