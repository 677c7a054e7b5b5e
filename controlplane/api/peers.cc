// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/api/flow_names.h"
#include "controlplane/base/times.h"
#include "controlplane/channel/mapping.h"
#include "controlplane/figures/figures.h"

namespace sluice::control {

using channel::read_counter;
using nlohmann::json;

namespace {

json peer_json(const channel::PeerStatus& peer, uint64_t now_ms) {
  const uint64_t heard_ms = read_counter(peer.last_heard_ms);
  const std::string name(peer.node, strnlen(peer.node, sizeof peer.node));
  return {{"at", text_of(peer.at)},
          {"node", name},
          {"heard_ms_ago", heard_ms == 0 ? json(nullptr) : json(now_ms > heard_ms ? now_ms - heard_ms : 0)},
          {"datagrams", read_counter(peer.datagrams)},
          {"flows_learned", read_counter(peer.flows_learned)},
          {"ends_learned", read_counter(peer.ends_learned)},
          {"send_errors", read_counter(peer.send_errors)},
          {"restarts", read_counter(peer.forgotten_after_restart)}};
}

/// Null if no exchange is configured, or the data plane is away.
json peers_json(const ChannelMapping* mapping) {
  if (mapping == nullptr) return nullptr;
  const channel::PeersStatus& status = mapping->stats_header().peers;
  const uint64_t count = std::min<uint64_t>(read_counter(status.peers), channel::kMaxPeers);
  if (count == 0) return nullptr;
  json peers = json::array();
  for (uint64_t i = 0; i < count; i++) peers.push_back(peer_json(status.peer[i], monotonic_ms()));
  const WorkerCounters counters = worker_counters(*mapping);
  return {{"known_now", read_counter(status.table_now)},
          {"known_at_most", read_counter(status.table_capacity)},
          {"flows_resumed", counters[static_cast<size_t>(channel::Counter::kFlowsResumed)]},
          {"flows_told", read_counter(status.flows_told)},
          {"ends_told", read_counter(status.ends_told)},
          {"tells_lost", counters[static_cast<size_t>(channel::Counter::kTellsLost)]},
          {"datagrams_sent", read_counter(status.datagrams_sent)},
          {"bytes_sent", read_counter(status.bytes_sent)},
          {"displaced", read_counter(status.displaced)},
          {"expired", read_counter(status.expired)},
          {"dropped",
           {{"stranger", read_counter(status.drop_stranger)},
            {"forged", read_counter(status.drop_forged)},
            {"replayed", read_counter(status.drop_replayed)},
            {"malformed", read_counter(status.drop_malformed)}}},
          {"peers", std::move(peers)}};
}

}  // namespace

void add_peer_routes(Router& router, const ApiContext& context) {
  router.add(boost::beast::http::verb::get, "/api/v1/peers", [&context](const ApiRequest&) {
    return ApiResponse::json(
        {{"time", to_rfc3339(context.journal.now())}, {"peers", peers_json(context.channel.mapping())}});
  });
}

}  // namespace sluice::control
