// SPDX-License-Identifier: Apache-2.0
#include "perf/blast/neighbours.h"

#include <algorithm>
#include <cstring>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/packet.h"

namespace sluice::blast {
namespace {

constexpr uint16_t kEtherTypeArp = 0x0806;
constexpr uint32_t kArpBytes = kEthernetBytes + 28;
constexpr uint32_t kNdBytes = kEthernetBytes + ipv6::kBytes + 32;  // with one option
constexpr uint32_t kNdMinimum = kNdBytes - 8;                      // without
constexpr uint8_t kIcmpv6 = 58, kSolicitation = 135, kAdvertisement = 136;
constexpr uint8_t kSolicitedOverride = 0x60;
constexpr uint8_t kSourceLinkOption = 1, kTargetLinkOption = 2;

Address address_at(const uint8_t* from) {
  Address out;
  std::memcpy(out.bytes.data(), from, 16);
  return out;
}

MacAddress mac_at(const uint8_t* from) {
  MacAddress out;
  std::memcpy(out.bytes.data(), from, 6);
  return out;
}

/// The first `bytes` of an empty mbuf, which has room for a small frame.
uint8_t* room_for(rte_mbuf& mbuf, uint32_t bytes) {
  mbuf.data_len = static_cast<uint16_t>(bytes);
  mbuf.pkt_len = bytes;
  return rte_pktmbuf_mtod(&mbuf, uint8_t*);
}

/// fe80:: with the MAC address in it (RFC 4291 appendix A).
Address link_local(const MacAddress& mac) {
  const auto& m = mac.bytes;
  return Address{
      {0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(m[0] ^ 2), m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}};
}

}  // namespace

void Neighbours::on_frame(const rte_mbuf& mbuf) {
  const auto* data = rte_pktmbuf_mtod(&mbuf, const uint8_t*);
  if (mbuf.data_len < kEthernetBytes) return;
  const uint16_t type = Be16{load<uint16_t>(data + 12)}.host();
  if (type == kEtherTypeArp && mbuf.data_len >= kArpBytes) on_arp(data);
  if (type == kEtherTypeIpv6 && mbuf.data_len >= kNdMinimum && data[kEthernetBytes + ipv6::kNextHeader] == kIcmpv6) {
    on_icmpv6(data);
  }
}

void Neighbours::on_arp(const uint8_t* data) {
  const uint8_t* arp = data + kEthernetBytes;
  const uint16_t operation = Be16{load<uint16_t>(arp + 6)}.host();
  const auto sender = load<uint32_t>(arp + 14);
  const auto target = load<uint32_t>(arp + 24);
  if (operation == 2 && asked_.is_v4() && sender == asked_.v4_part().raw) mac_ = mac_at(arp + 8);
  if (operation != 1 || sender == target) return;  // somebody announces himself
  rte_mbuf* reply = link_.make();
  if (reply == nullptr) return;
  auto* out = room_for(*reply, kArpBytes);
  std::memcpy(out, data, kArpBytes);
  std::memcpy(out, arp + 8, 6);
  std::memcpy(out + 6, link_.mac().bytes.data(), 6);
  uint8_t* answer = out + kEthernetBytes;
  store(answer + 6, Be16::of(2));
  std::memcpy(answer + 8, link_.mac().bytes.data(), 6);
  store(answer + 14, target);
  std::memcpy(answer + 18, arp + 8, 6);
  store(answer + 24, sender);
  link_.send(reply);
}

void Neighbours::on_icmpv6(const uint8_t* data) {
  const uint8_t* icmp = data + kEthernetBytes + ipv6::kBytes;
  const Address from = address_at(data + kEthernetBytes + ipv6::kSource);
  const Address target = address_at(icmp + 8);
  if (icmp[0] == kAdvertisement && target == asked_) mac_ = mac_at(data + 6);
  // A question from nobody (::) checks that an address is free: it is.
  if (icmp[0] != kSolicitation || from == Address{}) return;
  send_icmpv6(kAdvertisement, kSolicitedOverride, target, mac_at(data + 6), from, target);
}

void Neighbours::ask(const Address& address) {
  asked_ = address;
  if (!address.is_v4()) {
    Address group{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff}};
    std::copy_n(&address.bytes[13], 3, &group.bytes[13]);
    const MacAddress to{{0x33, 0x33, 0xff, group.bytes[13], group.bytes[14], group.bytes[15]}};
    send_icmpv6(kSolicitation, 0, address, to, group, link_local(link_.mac()));
    return;
  }
  rte_mbuf* mbuf = link_.make();
  if (mbuf == nullptr) return;
  auto* out = room_for(*mbuf, kArpBytes);
  std::memset(out, 0xff, 6);
  std::memcpy(out + 6, link_.mac().bytes.data(), 6);
  store(out + 12, Be16::of(kEtherTypeArp));
  uint8_t* arp = out + kEthernetBytes;
  constexpr uint8_t kRequest[] = {0, 1, 8, 0, 6, 4, 0, 1};
  std::memcpy(arp, kRequest, sizeof kRequest);
  std::memcpy(arp + 8, link_.mac().bytes.data(), 6);
  std::memset(arp + 14, 0, 10);  // from no address (RFC 5227 section 2.1.1): hosts answer that from wherever it comes
  store(arp + 24, address.v4_part().raw);
  link_.send(mbuf);
}

void Neighbours::send_icmpv6(uint8_t type, uint8_t flags, const Address& target, const MacAddress& to_mac,
                             const Address& to_address, const Address& from_address) {
  rte_mbuf* mbuf = link_.make();
  if (mbuf == nullptr) return;
  auto* out = room_for(*mbuf, kNdBytes);
  std::memset(out, 0, kNdBytes);
  std::memcpy(out, to_mac.bytes.data(), 6);
  std::memcpy(out + 6, link_.mac().bytes.data(), 6);
  store(out + 12, Be16::of(kEtherTypeIpv6));
  uint8_t* ip = out + kEthernetBytes;
  uint8_t* icmp = ip + ipv6::kBytes;
  constexpr uint32_t kIcmpBytes = kNdBytes - kEthernetBytes - ipv6::kBytes;
  ip[0] = 0x60;
  store(ip + ipv6::kPayloadLength, Be16::of(kIcmpBytes));
  ip[ipv6::kNextHeader] = kIcmpv6;
  ip[ipv6::kHopLimit] = 255;  // any less and it is not believed
  std::memcpy(ip + ipv6::kSource, from_address.bytes.data(), 16);
  std::memcpy(ip + ipv6::kDestination, to_address.bytes.data(), 16);
  icmp[0] = type;
  icmp[4] = flags;
  std::memcpy(icmp + 8, target.bytes.data(), 16);
  icmp[24] = type == kSolicitation ? kSourceLinkOption : kTargetLinkOption;
  icmp[25] = 1;
  std::memcpy(icmp + 26, link_.mac().bytes.data(), 6);
  const uint64_t pseudo = sum_words(ip + ipv6::kSource, 32) + Be32::of(kIcmpBytes).raw + Be16::of(kIcmpv6).raw;
  store(icmp + 2, static_cast<uint16_t>(~fold(sum_words(icmp, kIcmpBytes, pseudo))));
  link_.send(mbuf);
}

}  // namespace sluice::blast
