// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/batch.h"

#include <cstring>

namespace sluice {
namespace {

constexpr uint8_t kStageMask = 0x03, kForwardingMask = 0x1c;
constexpr unsigned kForwardingShift = 2;
constexpr uint8_t kClientV4 = 0x20, kBackendV4 = 0x40, kUnknownBits = 0x80;
constexpr size_t kV4At = 12;  // in an Address

size_t endpoint_bytes(bool v4) {
  return (v4 ? 4 : 16) + sizeof(Be16);
}

uint8_t* put_endpoint(uint8_t* at, const Endpoint& endpoint, bool v4) {
  const size_t skipped = v4 ? kV4At : 0, bytes = sizeof(Address) - skipped;
  std::memcpy(at, endpoint.address.bytes.data() + skipped, bytes);
  std::memcpy(at + bytes, &endpoint.port, sizeof endpoint.port);
  return at + bytes + sizeof endpoint.port;
}

Endpoint take_endpoint(std::span<const uint8_t>& rest, bool v4) {
  Endpoint out;
  const size_t skipped = v4 ? kV4At : 0, bytes = sizeof(Address) - skipped;
  if (v4) out.address.bytes[10] = out.address.bytes[11] = 0xff;
  std::memcpy(out.address.bytes.data() + skipped, rest.data(), bytes);
  std::memcpy(&out.port, rest.data() + bytes, sizeof out.port);
  rest = rest.subspan(bytes + sizeof out.port);
  return out;
}

}  // namespace

bool append_flow(std::span<uint8_t> out, size_t& used, const ToldFlow& flow) noexcept {
  const bool ended = flow.stage == FlowStage::kEnded;
  const bool v4 = flow.client.address.is_v4() && flow.vip.address.is_v4();
  const bool backend_v4 = !ended && flow.backend.address.is_v4();
  const size_t bytes = 1 + 2 * endpoint_bytes(v4) + (ended ? 0 : endpoint_bytes(backend_v4) + 1);
  if (out.size() - used < bytes) return false;
  uint8_t* at = out.data() + used;
  *at++ = static_cast<uint8_t>(static_cast<uint8_t>(flow.stage) |
                               static_cast<uint8_t>(flow.forwarding) << kForwardingShift | (v4 ? kClientV4 : 0) |
                               (backend_v4 ? kBackendV4 : 0));
  at = put_endpoint(at, flow.client, v4);
  at = put_endpoint(at, flow.vip, v4);
  if (!ended) *put_endpoint(at, flow.backend, backend_v4) = flow.proxy_bytes;
  used += bytes;
  return true;
}

std::optional<ToldFlow> take_flow(std::span<const uint8_t>& rest) noexcept {
  if (rest.empty()) return std::nullopt;
  const uint8_t kind = rest[0];
  const uint8_t forwarding = (kind & kForwardingMask) >> kForwardingShift;
  const bool ended = (kind & kStageMask) == static_cast<uint8_t>(FlowStage::kEnded);
  const bool v4 = (kind & kClientV4) != 0, backend_v4 = (kind & kBackendV4) != 0;
  if ((kind & kUnknownBits) != 0 || (kind & kStageMask) > static_cast<uint8_t>(FlowStage::kEnded)) return std::nullopt;
  if (forwarding > static_cast<uint8_t>(channel::Forwarding::kGue)) return std::nullopt;
  const size_t bytes = 1 + 2 * endpoint_bytes(v4) + (ended ? 0 : endpoint_bytes(backend_v4) + 1);
  if (rest.size() < bytes) return std::nullopt;
  rest = rest.subspan(1);
  ToldFlow out;
  out.stage = static_cast<FlowStage>(kind & kStageMask);
  out.forwarding = static_cast<channel::Forwarding>(forwarding);
  out.client = take_endpoint(rest, v4);
  out.vip = take_endpoint(rest, v4);
  if (ended) return out;
  out.backend = take_endpoint(rest, backend_v4);
  out.proxy_bytes = rest[0];
  rest = rest.subspan(1);
  return out;
}

}  // namespace sluice
