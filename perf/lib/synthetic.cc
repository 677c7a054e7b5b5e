// SPDX-License-Identifier: Apache-2.0
#include "perf/lib/synthetic.h"

#include <algorithm>
#include <cmath>

#include "dataplane/packet/checksum.h"

namespace sluice::perf {

FlowChooser::FlowChooser(uint32_t n, bool zipf, uint64_t seed)
    : n_(n), zipf_(zipf), log_n_(std::log(static_cast<double>(n))), random_(seed) {}

uint32_t FlowChooser::next() {
  if (!zipf_) return random_.below(n_);
  const double uniform = static_cast<double>(random_.next() >> 11) * 0x1p-53;
  const auto rank = static_cast<uint32_t>(std::exp(uniform * log_n_)) - 1;
  // Ranks are scattered over the flows, so that the popular ones are not neighbours in memory.
  return static_cast<uint32_t>((uint64_t{std::min(rank, n_ - 1)} * 2654435761U) % n_);
}

Endpoint client_endpoint(uint32_t n, bool v6) {
  const uint32_t host = n / 50'000;
  const Be16 port = Be16::of(static_cast<uint16_t>(1024 + n % 50'000));
  if (!v6) return {Address::v4(Be32::of(0x0b000000 + host)), port};
  Address address;
  address.bytes = {0x20, 0x01, 0x0d, 0xb8, 0, 1};
  const Be32 low = Be32::of(host + 1);
  std::memcpy(&address.bytes[12], &low.raw, 4);
  return {address, port};
}

FrameTemplate::FrameTemplate(const MacAddress& destination, const Endpoint& from, const Endpoint& to,
                             uint32_t frame_bytes, uint16_t vlan)
    : v6_(!from.address.is_v4()), l3_offset_(kEthernetBytes + (vlan != 0 ? kVlanBytes : 0)) {
  const uint32_t l3_bytes = v6_ ? ipv6::kBytes : ipv4::kBytes;
  const uint32_t headers = kEthernetBytes + l3_bytes + tcp::kBytes;
  bytes_.assign(std::max({frame_bytes, headers, kMinimalFrame}) + (l3_offset_ - kEthernetBytes), 0);
  payload_bytes_ = frame_bytes > std::max(headers, kMinimalFrame) ? frame_bytes - headers : 0;
  std::copy(destination.bytes.begin(), destination.bytes.end(), bytes_.begin());
  bytes_[6] = 0x02;
  bytes_[11] = 0xc1;
  uint8_t* l3 = &bytes_[l3_offset_];
  if (vlan != 0) {
    store(&bytes_[12], Be16::of(kEtherTypeVlan));
    store(&bytes_[14], Be16::of(vlan));
  }
  store(l3 - 2, Be16::of(v6_ ? kEtherTypeIpv6 : kEtherTypeIpv4));
  const uint32_t tcp_bytes = tcp::kBytes + payload_bytes_;
  if (v6_) {
    l3[0] = 0x60;
    store(l3 + ipv6::kPayloadLength, Be16::of(static_cast<uint16_t>(tcp_bytes)));
    l3[ipv6::kNextHeader] = 6;
    l3[ipv6::kHopLimit] = 64;
  } else {
    l3[0] = 0x45;
    store(l3 + ipv4::kTotalLength, Be16::of(static_cast<uint16_t>(ipv4::kBytes + tcp_bytes)));
    l3[ipv4::kTtl] = 64;
    l3[ipv4::kProtocol] = 6;
  }
  l3[l3_bytes + tcp::kOffset] = (tcp::kBytes / 4) << 4;
  write(bytes_.data(), from, to, kTcpAck, 0, 0);
  if (!v6_) store(l3 + ipv4::kChecksum, ipv4_checksum(l3, ipv4::kBytes));
  store(l3 + l3_bytes + tcp::kChecksum, tcp_checksum(from.address, to.address, l3 + l3_bytes, tcp_bytes));
}

void FrameTemplate::write(uint8_t* out, const Endpoint& from, const Endpoint& to, uint8_t flags, uint32_t sequence,
                          uint32_t ack) const {
  if (out != bytes_.data()) std::memcpy(out, bytes_.data(), bytes_.size());
  uint8_t* l3 = out + l3_offset_;
  uint8_t* l4 = l3 + (v6_ ? ipv6::kBytes : ipv4::kBytes);
  if (v6_) {
    std::memcpy(l3 + ipv6::kSource, from.address.bytes.data(), 16);
    std::memcpy(l3 + ipv6::kDestination, to.address.bytes.data(), 16);
  } else {
    std::memcpy(l3 + ipv4::kSource, &from.address.bytes[12], 4);
    std::memcpy(l3 + ipv4::kDestination, &to.address.bytes[12], 4);
  }
  store(l4 + tcp::kSourcePort, from.port);
  store(l4 + tcp::kDestinationPort, to.port);
  store(l4 + tcp::kSequence, Be32::of(sequence));
  store(l4 + tcp::kAck, Be32::of(ack));
  l4[tcp::kFlags] = flags;
}

}  // namespace sluice::perf
