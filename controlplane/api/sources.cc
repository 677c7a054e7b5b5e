// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>
#include <vector>

#include "controlplane/api/api.h"
#include "controlplane/base/put_first.h"
#include "controlplane/base/times.h"
#include "controlplane/figures/figures.h"
#include "controlplane/figures/limit_figures.h"
#include "controlplane/http/query.h"
#include "controlplane/records/source_tally.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

constexpr uint64_t kMostSources = 1000;
constexpr uint64_t kUsualSources = 20;

/// One of the answer. `entry` lives in the tally; null: what its sessions were refused for is known from the limits'
/// own counts alone.
struct Row {
  SourceTally::Key key;
  const SourceTally::Entry* entry = nullptr;
  uint64_t count = 0;
  uint64_t last_minute = 0;

  SystemTime last() const { return entry == nullptr ? SystemTime() : entry->last; }
};

/// Of sources at a limit the workers count every refusal, in a place that another source may take.
std::vector<Row> rows_of(const ApiContext& context, SystemTime now) {
  std::vector<Row> out;
  std::map<SourceTally::Key, uint64_t> refused;
  for (const LimitedSource& source : limited_sources(context.channel, context.config.sources.limits,
                                                     std::chrono::steady_clock::now().time_since_epoch())) {
    if (source.refused == 0) continue;
    refused[{Complaint::kLimit, static_cast<uint8_t>(source.rule + 1), source.prefix.to_string()}] = source.refused;
  }
  const SourceTally& tally = *context.tally;
  out.reserve(tally.refused().size() + tally.offences().size() + refused.size());
  for (const auto* entries : {&tally.refused(), &tally.offences()}) {
    for (const auto& [key, entry] : *entries) {
      const auto exact = refused.extract(key);
      out.push_back(
          {key, &entry, std::max(entry.count, exact.empty() ? 0 : exact.mapped()), entry.last_minute.at(now)});
    }
  }
  for (const auto& [key, count] : refused) out.push_back({key, nullptr, count, 0});
  return out;
}

json row_json(const Row& row) {
  const auto time = [&](SystemTime at) { return row.entry == nullptr ? json(nullptr) : json(to_rfc3339(at)); };
  return {{"prefix", row.key.prefix},
          {"why", name_of(row.key.complaint)},
          {"by", row.key.complaint == Complaint::kBlocked ? json(row.entry->by) : json(nullptr)},
          {"rule", row.key.complaint == Complaint::kLimit ? json(row.key.rule) : json(nullptr)},
          {"last_minute", row.last_minute},
          {"count", row.count},
          {"first", time(row.entry == nullptr ? SystemTime() : row.entry->first)},
          {"last", time(row.last())}};
}

json dropped_json(const ChannelClient& channel) {
  const ChannelMapping* mapping = channel.mapping();
  if (mapping == nullptr) return nullptr;
  const WorkerCounters counters = worker_counters(*mapping);
  const auto count = [&](channel::Counter counter) { return counters[static_cast<size_t>(counter)]; };
  return {{"blocked", count(channel::Counter::kDropPolicy)}, {"limit", count(channel::Counter::kDropLimited)}};
}

ApiResponse show(const ApiContext& context, const ApiRequest& request) {
  const auto query = Query::parse(request.query, {"top"});
  if (!query) return ApiResponse::error(http::status::bad_request, query.error());
  const auto top = query->number("top", kUsualSources, {1, kMostSources});
  if (!top) return ApiResponse::error(http::status::bad_request, top.error());
  const SystemTime now = context.journal.now();
  std::vector<Row> rows = rows_of(context, now);
  const size_t shown = put_first(rows, *top, [](const Row& a, const Row& b) {
    const auto rank = [](const Row& row) { return std::tuple(row.last_minute, row.last(), row.count); };
    return rank(a) != rank(b) ? rank(a) > rank(b) : a.key < b.key;
  });
  const SourceTally::Sample sample = context.tally->sample(now);
  json out{{"since", to_rfc3339(context.started)},
           {"sample", {{"seen", sample.seen}, {"unseen", sample.unseen}}},
           {"dropped", dropped_json(context.channel)},
           {"known", rows.size()},
           {"sources", json::array()}};
  for (size_t i = 0; i < shown; i++) out["sources"].push_back(row_json(rows[i]));
  return ApiResponse::json(out);
}

}  // namespace

void add_source_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/sources",
             [&context](const ApiRequest& request) { return show(context, request); });
}

}  // namespace sluice::control
