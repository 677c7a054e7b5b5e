// SPDX-License-Identifier: Apache-2.0
#include "dataplane/process/peer_exchange.h"

#include <fmt/format.h>
#include <pthread.h>
#include <rte_errno.h>
#include <rte_ring_elem.h>
#include <spdlog/spdlog.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "dataplane/base/setup_error.h"
#include "dataplane/device/privileges.h"
#include "dataplane/peers/key_file.h"
#include "dataplane/peers/passed_answer.h"

namespace sluice {
namespace {

constexpr int kTurnMs = 1;  // so long flows wait for others to share a datagram with

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

/// Pages come as they are touched.
Mapping map_table(size_t bytes) {
  Mapping out(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
  if (!out) throw SetupError(fmt::format("memory for flows of peers, {} MiB: {}", bytes >> 20, std::strerror(errno)));
  return out;
}

template <typename Element>
rte_ring* make_ring(const char* what, size_t worker, uint32_t entries) {
  const std::string name = fmt::format("{}-{}", what, worker);
  rte_ring* ring =
      rte_ring_create_elem(name.c_str(), sizeof(Element), entries, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (ring == nullptr) throw SetupError(fmt::format("ring {}: {}; raise memory_mb", name, rte_strerror(rte_errno)));
  return ring;
}

}  // namespace

PeerExchange::PeerExchange(const PeerOptions& options, std::span<const std::byte* const> flow_memories,
                           uint32_t flow_capacity, uint32_t established_s, channel::PeersStatus& status) {
  // As many as can be taken over: what this node has room for.
  const ToldTable::Room room{.flows = uint64_t{flow_capacity} * flow_memories.size(),
                             .entries_each = ToldTable::Room::entries_of(options.fullnat, options.spliced)};
  memory_ = map_table(ToldTable::bytes_for(room));
  table_ = std::make_unique<ToldTable>(memory_.data(), room, draw_random());
  for (size_t i = 0; i < flow_memories.size(); i++) {
    workers_.push_back({FlowNames(flow_memories[i], flow_capacity), make_ring<FlowIndex>("tells", i, kTellRingEntries),
                        make_ring<PassedAnswer>("answers-out", i, kAnswerRingEntries),
                        make_ring<PassedAnswer>("answers-in", i, kAnswerRingEntries)});
  }
  exchange_ = std::make_unique<Exchange>(ExchangeOptions{.node = options.node.empty() ? host_name() : options.node,
                                                         .listen = options.listen,
                                                         .to = options.to,
                                                         .secret = read_key_file(options.key_file),
                                                         .established_s = established_s},
                                         workers_, *table_, status);
  spdlog::info("peers: {}, room for {} flows of theirs in up to {} MiB", options.to.size(), table_->most_flows(),
               memory_.bytes() >> 20);
}

void PeerExchange::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void PeerExchange::run(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "peers");
  if (const int error = drop_capabilities(); error != 0)
    spdlog::warn("peers: keeps its capabilities: {}", std::strerror(error));
  try {
    while (!stop.stop_requested()) exchange_->turn(kTurnMs);
  } catch (const std::exception& error) {
    spdlog::error("peers: the exchange has ended: {}", error.what());
  }
}

}  // namespace sluice
