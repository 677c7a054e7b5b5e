// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/batch.h"

#include "dataplane/contract/flow.h"
#include "dataplane/peers/wire.h"

namespace sluice {
namespace {

constexpr uint8_t kStageMask = 0x03, kForwardingMask = 0x1c;
constexpr unsigned kForwardingShift = 2;
constexpr uint8_t kClientV4 = 0x20, kBackendV4 = 0x40, kSpliced = 0x80;
constexpr size_t kSpliceBytes = 10;
constexpr uint8_t kScale = 0x0f;  // of each side, in one byte; then a byte that says whether there are timestamps

/// What a flow's first byte says of it.
struct Kind {
  bool ended, v4, backend_v4, has_local, spliced;

  size_t bytes() const {
    const size_t ends = 2 * endpoint_bytes(v4);
    if (ended) return 1 + ends;
    return 1 + ends + (has_local ? 2 : 1) * endpoint_bytes(backend_v4) + 1 + (spliced ? kSpliceBytes : 0);
  }
};

void put_splice(uint8_t* at, const ToldSplice& splice) {
  at = put_word(put_word(at, splice.sequence), splice.timestamp);
  *at++ = static_cast<uint8_t>(splice.client_scale << 4 | splice.server_scale);
  *at = splice.timestamps ? 1 : 0;
}

/// Nothing if its last byte is no flag.
std::optional<ToldSplice> take_splice(std::span<const uint8_t>& rest) {
  ToldSplice out;
  out.sequence = take_word(rest);
  out.timestamp = take_word(rest);
  const uint8_t scales = take_byte(rest), timestamps = take_byte(rest);
  out.client_scale = scales >> 4;
  out.server_scale = scales & kScale;
  out.timestamps = timestamps == 1;
  return timestamps <= 1 ? std::optional(out) : std::nullopt;
}

}  // namespace

bool append_flow(std::span<uint8_t> out, size_t& used, const ToldFlow& flow) noexcept {
  const bool ended = flow.stage == FlowStage::kEnded;
  const bool has_local = flow.forwarding == channel::Forwarding::kFullnat;
  const Kind kind{.ended = ended,
                  .v4 = flow.client.address.is_v4() && flow.vip.address.is_v4(),
                  .backend_v4 = !ended && flow.backend.address.is_v4() && (!has_local || flow.local.address.is_v4()),
                  .has_local = has_local,
                  .spliced = !ended && flow.splice};
  if (out.size() - used < kind.bytes()) return false;
  uint8_t* at = out.data() + used;
  *at++ = static_cast<uint8_t>(static_cast<uint8_t>(flow.stage) |
                               static_cast<uint8_t>(flow.forwarding) << kForwardingShift | (kind.v4 ? kClientV4 : 0) |
                               (kind.backend_v4 ? kBackendV4 : 0) | (kind.spliced ? kSpliced : 0));
  at = put_endpoint(at, flow.client, kind.v4);
  at = put_endpoint(at, flow.vip, kind.v4);
  used += kind.bytes();
  if (ended) return true;
  at = put_endpoint(at, flow.backend, kind.backend_v4);
  *at++ = flow.proxy_bytes;
  if (kind.has_local) at = put_endpoint(at, flow.local, kind.backend_v4);
  if (kind.spliced) put_splice(at, *flow.splice);
  return true;
}

std::optional<ToldFlow> take_flow(std::span<const uint8_t>& rest) noexcept {
  if (rest.empty()) return std::nullopt;
  const uint8_t first = rest[0];
  const uint8_t stage = first & kStageMask, forwarding = (first & kForwardingMask) >> kForwardingShift;
  const Kind kind{.ended = stage == static_cast<uint8_t>(FlowStage::kEnded),
                  .v4 = (first & kClientV4) != 0,
                  .backend_v4 = (first & kBackendV4) != 0,
                  .has_local = forwarding == static_cast<uint8_t>(channel::Forwarding::kFullnat),
                  .spliced = (first & kSpliced) != 0};
  if (kind.ended && kind.spliced) return std::nullopt;
  if (forwarding > static_cast<uint8_t>(channel::Forwarding::kGue)) return std::nullopt;
  if (rest.size() < kind.bytes()) return std::nullopt;
  rest = rest.subspan(1);
  ToldFlow out;
  out.stage = static_cast<FlowStage>(stage);
  out.forwarding = static_cast<channel::Forwarding>(forwarding);
  out.client = take_endpoint(rest, kind.v4);
  out.vip = take_endpoint(rest, kind.v4);
  if (kind.ended) return out;
  out.backend = take_endpoint(rest, kind.backend_v4);
  out.proxy_bytes = take_byte(rest);
  if (out.proxy_bytes > kMostProxyBytes) return std::nullopt;
  if (kind.has_local) out.local = take_endpoint(rest, kind.backend_v4);
  if (!kind.spliced) return out;
  out.splice = take_splice(rest);
  return out.splice ? std::optional(out) : std::nullopt;
}

}  // namespace sluice
