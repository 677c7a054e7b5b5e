// SPDX-License-Identifier: Apache-2.0
#include "dataplane/packet/syn_ack.h"

#include <cstring>
#include <utility>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/reset.h"

namespace sluice {
namespace {

/// Two fields of `kBytes` that lie side by side change places. Returns the sum of their words.
template <size_t kBytes>
uint64_t swap_ends(uint8_t* first) {
  std::array<uint8_t, kBytes> one, other;
  std::memcpy(one.data(), first, kBytes);
  std::memcpy(other.data(), first + kBytes, kBytes);
  std::memcpy(first, other.data(), kBytes);
  std::memcpy(first + kBytes, one.data(), kBytes);
  return sum_words(one.data(), kBytes) + sum_words(other.data(), kBytes);
}

uint64_t sum_of(uint32_t word) {
  return (word & 0xffff) + (word >> 16);
}

/// Whether the headers lie where those of the answer will.
bool lies_as_usual(const rte_mbuf& mbuf, const Packet& packet) {
  const uint32_t ip_bytes = packet.v6 ? ipv6::kBytes : ipv4::kBytes;
  return mbuf.nb_segs == 1 && packet.l4_offset == packet.l3_offset + ip_bytes &&
         rte_pktmbuf_data_len(&mbuf) + rte_pktmbuf_tailroom(&mbuf) >=
             packet.l4_offset + tcp::kBytes + SynAck::kMostOptions &&
         (mbuf.ol_flags & (RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED)) == 0;
}

void write_anew(rte_mbuf& mbuf, const Packet& packet, const SynAck& answer) {
  MadeSegment out = reset_answering(mbuf, packet);
  out.flags = kTcpSyn | kTcpAck;
  out.sequence = answer.sequence;
  out.ack = packet.sequence + 1;
  out.window = answer.window;
  out.options = {answer.options.data(), answer.options_bytes};
  write_segment(mbuf, out);
}

/// The IPv4 header but for its addresses, whose words sum up to `addresses`.
void write_ipv4(uint8_t* header, uint32_t bytes, uint64_t addresses) {
  const uint16_t length = Be16::of(static_cast<uint16_t>(bytes)).raw;
  const uint16_t version = Be16::of(0x4500).raw, do_not_fragment = Be16::of(0x4000).raw;
  const uint16_t hops = Be16::of(static_cast<uint16_t>(kHops << 8 | kProtocolTcp)).raw;
  const uint64_t first = uint64_t{version} | uint64_t{length} << 16 | uint64_t{do_not_fragment} << 48;
  store(header, first);
  store(header + ipv4::kTtl, hops);
  const uint64_t sum = addresses + version + length + do_not_fragment + hops;
  store(header + ipv4::kChecksum, static_cast<uint16_t>(~fold(sum)));
}

void write_ipv6(uint8_t* header, uint32_t tcp_bytes) {
  store(header, Be32::of(0x60000000).raw);
  store(header + ipv6::kPayloadLength, Be16::of(static_cast<uint16_t>(tcp_bytes)).raw);
  header[ipv6::kNextHeader] = kProtocolTcp;
  header[ipv6::kHopLimit] = kHops;
}

}  // namespace

void turn_into_syn_ack(rte_mbuf& mbuf, const Packet& packet, const SynAck& answer) noexcept {
  if (!lies_as_usual(mbuf, packet)) [[unlikely]]
    return write_anew(mbuf, packet, answer);
  auto* data = rte_pktmbuf_mtod(&mbuf, uint8_t*);
  uint8_t* ip = data + packet.l3_offset;
  uint8_t* header = data + packet.l4_offset;
  const uint32_t tcp_bytes = tcp::kBytes + answer.options_bytes;
  swap_ends<6>(data);
  uint64_t sum = packet.v6 ? swap_ends<16>(ip + ipv6::kSource) : swap_ends<4>(ip + ipv4::kSource);
  if (packet.v6) {
    write_ipv6(ip, tcp_bytes);
  } else {
    write_ipv4(ip, ipv4::kBytes + tcp_bytes, sum);
  }
  sum += swap_ends<2>(header);
  const uint32_t sequence = Be32::of(answer.sequence).raw, ack = Be32::of(packet.sequence + 1).raw;
  const uint16_t offset_and_flags = Be16::of(static_cast<uint16_t>((tcp_bytes / 4) << 12 | kTcpSyn | kTcpAck)).raw;
  store(header + tcp::kSequence, sequence);
  store(header + tcp::kAck, ack);
  store(header + tcp::kOffset, offset_and_flags);
  store(header + tcp::kWindow, answer.window.raw);
  store(header + tcp::kChecksum, uint32_t{0});  // and the urgent pointer
  std::memcpy(header + tcp::kBytes, answer.options.data(), SynAck::kMostOptions);
  sum += sum_of(sequence) + sum_of(ack) + offset_and_flags + answer.window.raw;
  sum += sum_words(answer.options.data(), answer.options_bytes);
  sum += Be16::of(kProtocolTcp).raw + uint64_t{Be16::of(static_cast<uint16_t>(tcp_bytes)).raw};
  store(header + tcp::kChecksum, static_cast<uint16_t>(~fold(sum)));
  mbuf.data_len = static_cast<uint16_t>(packet.l4_offset + tcp_bytes);
  mbuf.pkt_len = mbuf.data_len;
  mbuf.ol_flags = 0;
}

}  // namespace sluice
