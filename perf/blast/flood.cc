// SPDX-License-Identifier: Apache-2.0
#include "perf/blast/flood.h"

#include <algorithm>
#include <cstring>

namespace sluice::blast {

Flood::Flood(Link& link, const MacAddress& gateway, const Endpoint& vip, double rate, uint64_t tsc_hz)
    : link_(link),
      path_{link.mac(), gateway, {}, vip},
      syn_(!vip.address.is_v4(), kTcpSyn, ""),
      per_cycle_(rate / static_cast<double>(tsc_hz)) {
  path_.source.address =
      vip.address.is_v4() ? Address::v4(Be32::of(0x64400000)) : Address{{0x20, 0x01, 0x0d, 0xb8, 0xf1}};
}

void Flood::go_on(uint64_t now) {
  if (began_ == 0) began_ = now;
  uint64_t due = kBurst;
  if (per_cycle_ > 0) {
    const auto wanted = static_cast<uint64_t>(static_cast<double>(now - began_) * per_cycle_);
    due = std::min<uint64_t>(kBurst, wanted > sent_ ? wanted - sent_ : 0);
  }
  for (; due != 0 && !link_.is_congested(); due--) {
    const uint64_t random = random_.next();
    const bool v4 = path_.source.address.is_v4();
    const Be32 low =
        Be32::of(v4 ? 0x64400000 | static_cast<uint32_t>(random >> 42) : static_cast<uint32_t>(random >> 32));
    std::memcpy(&path_.source.address.bytes[12], &low.raw, 4);
    path_.source.port = Be16::of(static_cast<uint16_t>(1024 + (random & 0xffff) % 64'000));
    rte_mbuf* mbuf = link_.make();
    if (mbuf == nullptr) return;
    syn_.write(*mbuf, path_, static_cast<uint32_t>(random), 0);
    link_.send(mbuf);
    sent_++;
  }
}

}  // namespace sluice::blast
