// SPDX-License-Identifier: Apache-2.0
#include "controlplane/figures/limit_figures.h"

#include "controlplane/changes/limits.h"

namespace sluice::control {

namespace {

using channel::LimitState;
using channel::LimitTable;

template <typename T>
T peek(const T& value) {
  return __atomic_load_n(&value, __ATOMIC_RELAXED);
}

LimitedSource source_at(const LimitState& state, uint64_t word, const std::vector<config::Limit>& limits,
                        uint64_t now_ns) {
  constexpr uint64_t kSecondNs = 1'000'000'000;
  LimitedSource out;
  out.rule = static_cast<uint32_t>(peek(state.rule));
  const config::Limit& limit = limits[out.rule];
  out.prefix = {config::IpAddress{state.prefix.bytes}, source_bits(limit, state.prefix.is_v4())};
  out.open = LimitTable::open_in(word);
  const uint64_t second = now_ns / kSecondNs;
  const uint64_t last = peek(state.second);
  out.per_second = last == second ? peek(state.begun_before) : last + 1 == second ? peek(state.begun) : 0;
  out.refused = peek(state.refused);
  out.too_many = limit.connections != 0 && out.open >= limit.connections;
  const uint64_t ahead_ns = limit.per_second == 0 ? 0 : kSecondNs / limit.per_second * (limit.burst - 1);
  out.too_fast = limit.per_second != 0 && peek(state.arrival_ns) > now_ns + ahead_ns;
  return out;
}

}  // namespace

std::optional<channel::LimitCounters> limit_counters(const ChannelClient& channel, uint32_t rule) {
  const ChannelMapping* mapping = channel.mapping();
  if (mapping == nullptr || rule >= channel::kMaxLimits) return std::nullopt;
  channel::LimitCounters out{};
  for (uint32_t worker = 0; worker < mapping->workers(); worker++) {
    const channel::LimitCounters& block = mapping->worker_stats(worker).limits[rule];
    out.refused_connections += channel::read_counter(block.refused_connections);
    out.refused_rate += channel::read_counter(block.refused_rate);
    out.cut += channel::read_counter(block.cut);
    out.uncounted += channel::read_counter(block.uncounted);
  }
  return out;
}

std::vector<LimitedSource> limited_sources(const ChannelClient& channel, const std::vector<config::Limit>& limits,
                                           std::chrono::nanoseconds now) {
  std::vector<LimitedSource> out;
  const ChannelMapping* mapping = channel.mapping();
  const uint32_t layout = channel.publisher() == nullptr ? 0 : channel.publisher()->limits_layout();
  if (mapping == nullptr || layout == 0) return out;
  const LimitTable& table = mapping->limit_table();
  const uint8_t mark = LimitTable::layout_mark(channel::limit_layout(mapping->epoch(), layout));
  for (uint32_t set = 0; set < LimitTable::kSets; set++) {
    for (uint32_t way = 0; way < LimitTable::kWays; way++) {
      const uint64_t word = peek(table.words[set][way]);
      const LimitState& state = table.states[set][way];
      if (word == 0 || LimitTable::layout_in(word) != mark || peek(state.rule) >= limits.size()) continue;
      out.push_back(source_at(state, word, limits, static_cast<uint64_t>(now.count())));
    }
  }
  return out;
}

}  // namespace sluice::control
