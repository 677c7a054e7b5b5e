// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/icmp_errors.h"

#include "dataplane/packet/icmp.h"

namespace sluice {

rte_mbuf* IcmpErrors::make_too_big(const rte_mbuf& mbuf, const Packet& packet, uint16_t mtu) noexcept {
  if (!tokens_.take(clock_.now_ms())) return nullptr;
  rte_mbuf* error = egress_.take_buffer();
  if (error == nullptr) return nullptr;
  write_too_big(*error, mbuf, packet, mtu);
  counters_.count(Counter::kIcmpSent);
  return error;
}

void IcmpErrors::answer_too_big(Burst& burst, uint32_t i, uint16_t mtu) noexcept {
  rte_mbuf* error = make_too_big(*burst.mbuf[i], burst.packet[i], mtu);
  if (error != nullptr) egress_.send_made(burst.port[i], error);
  egress_.drop(burst.mbuf[i], Counter::kDropTooBig);
}

}  // namespace sluice
