// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/source_limits.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/flow/tcp_track.h"

namespace sluice {
namespace {

using channel::LimitAction;

/// The first `bits` of an address, as they lie in memory.
std::array<uint64_t, 2> mask_of(uint32_t bits) {
  const auto half = [](uint32_t ones) { return ones == 0 ? 0 : __builtin_bswap64(~uint64_t{0} << (64 - ones)); };
  return {half(std::min(bits, 64U)), half(bits > 64 ? bits - 64 : 0)};
}

/// Calls `what(rule)` for each of `rules`.
template <typename What>
void each_of(uint8_t rules, What what) {
  for (; rules != 0; rules &= static_cast<uint8_t>(rules - 1)) what(static_cast<uint32_t>(std::countr_zero(rules)));
}

}  // namespace

SourceLimits::SourceLimits(const Context& context) noexcept
    : clock_(context.clock),
      flows_(context.flows),
      state_(context.state),
      stats_(*context.setup.stats),
      counts_(context.setup.limit_table, context.setup.hash_seed) {}

void SourceLimits::follow() noexcept {
  if (!counts_.is_there()) return;
  const channel::LimitRules& rules = state_.sources().limits();
  constexpr uint32_t kV4Start = 96;
  for (uint32_t i = 0; i < channel::kMaxLimits; i++) {
    rate_[i] = LimitRate::of(rules.rule[i]);
    mask_[i] = {mask_of(kV4Start + rules.rule[i].v4_bits), mask_of(rules.rule[i].v6_bits)};
  }
  if (state_.sources().limits_layout() == layout_) return;
  layout_ = state_.sources().limits_layout();
  counts_.begin(layout_);
  for (channel::LimitCounters& counters : stats_.limits) counters = {};
  hand_ = layout_ == 0 ? kNoFlow : 0;
}

bool SourceLimits::sweep() noexcept {
  if (hand_ == kNoFlow) [[likely]]
    return false;
  const FlowIndex end = std::min(flows_.used(), hand_ + kFlowsPerPoll);
  while (hand_ < end) {
    const Flow& flow = flows_[hand_++];
    if (is_open(flow.state)) open(flow, false);
  }
  if (hand_ >= flows_.used()) hand_ = kNoFlow;
  return true;
}

LimitKey SourceLimits::key(uint32_t rule, const Address& source) const noexcept {
  const auto& mask = source.is_v4() ? mask_[rule].v4 : mask_[rule].v6;
  std::array<uint64_t, 2> halves;
  std::memcpy(halves.data(), source.bytes.data(), sizeof halves);
  halves[0] &= mask[0];
  halves[1] &= mask[1];
  Address prefix;
  std::memcpy(prefix.bytes.data(), halves.data(), sizeof halves);
  return counts_.key(prefix, rule);
}

LimitVerdict SourceLimits::judge(uint32_t rule, const LimitKey& key) noexcept {
  return counts_.judge(key, state_.sources().limits().rule[rule].connections, rate_[rule], now_ns());
}

std::optional<LimitAction> SourceLimits::refuses_by(uint8_t rules, const Address& source,
                                                    channel::ServiceId service) noexcept {
  if (state_.sources().is_exempt(source)) return std::nullopt;
  std::optional<LimitAction> out;
  each_of(rules, [&](uint32_t rule) {
    if (out) return;
    const LimitKey counted = key(rule, source);
    const LimitVerdict verdict = judge(rule, counted);
    if (verdict == LimitVerdict::kPasses) return;
    channel::LimitCounters& counters = stats_.limits[rule];
    (verdict == LimitVerdict::kTooMany ? counters.refused_connections : counters.refused_rate)++;
    counts_.note_refused(counted);
    refused_by_ = static_cast<uint8_t>(rule + 1);
    out = state_.sources().limits().rule[rule].action;
  });
  const bool waits_for_tls = state_.sources().limits().clients_first[service] != 0;
  const bool is_told = out == LimitAction::k421 || out == LimitAction::kTarpit;
  return is_told && waits_for_tls ? LimitAction::kReset : out;
}

bool SourceLimits::open_by(uint8_t rules, const Flow& flow, bool judged) noexcept {
  const bool exempt = !judged || state_.sources().is_exempt(flow.client);
  bool passes = true;
  each_of(rules, [&](uint32_t rule) {
    const LimitKey counted = key(rule, flow.client);
    if (passes && !exempt && judge(rule, counted) != LimitVerdict::kPasses) {
      passes = false;
      refused_by_ = static_cast<uint8_t>(rule + 1);
      stats_.limits[rule].cut++;
      counts_.note_refused(counted);
    }
    if (!counts_.add(counted)) stats_.limits[rule].uncounted++;
  });
  if (!judged || !passes) return passes;
  each_of(rules, [&](uint32_t rule) { counts_.charge(key(rule, flow.client), rate_[rule], now_ns()); });
  return true;
}

void SourceLimits::close_by(uint8_t rules, const Flow& flow) noexcept {
  each_of(rules, [&](uint32_t rule) { counts_.remove(key(rule, flow.client)); });
}

}  // namespace sluice
