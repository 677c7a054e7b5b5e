// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "controlplane/ctl/commands/commands.h"
#include "controlplane/ctl/tables.h"

namespace sluice::ctl {

namespace {

using nlohmann::json;

constexpr std::chrono::seconds kFollowInterval{1};
constexpr uint32_t kMissesAllowed = 30;  // in a row: control may be restarted meanwhile
constexpr uint64_t kMostEvents = 4096;

std::string events_path(const Invocation& invocation, uint64_t limit, uint64_t after) {
  std::string out = fmt::format("/api/v1/events?limit={}&after={}", limit, after);
  if (invocation.has("kind")) out += "&kind=" + path_segment(invocation.text("kind"));
  return out;
}

/// Events as they come: oldest first, one line each.
void print_oldest_first(const Invocation& invocation, json events) {
  std::ranges::reverse(events);
  for (const json& event : events) {
    if (invocation.json) {
      invocation.out() << event.dump() << '\n';
    } else {
      invocation.out() << fmt::format("{} {:7} {} {}: {}\n", text_of(event, "time"), text_of(event, "severity"),
                                      text_of(event, "kind"), text_of(event, "subject"), text_of(event, "text"));
    }
  }
  invocation.out().flush();
}

Outcome follow(const Invocation& invocation, const Client& client, uint64_t limit) {
  uint64_t last = 0;
  uint32_t misses = 0;
  for (uint64_t most = limit; invocation.out(); most = kMostEvents) {
    const auto answer = client.get(events_path(invocation, most, last));
    if (!answer && (answer.error().exit != Exit::kUnreachable || last == 0 || ++misses > kMissesAllowed))
      return std::unexpected(answer.error());
    if (answer) {
      misses = 0;
      const json& events = answer->at("events");
      if (!events.empty()) last = events.front().at("id").get<uint64_t>();
      print_oldest_first(invocation, events);
    }
    std::this_thread::sleep_for(kFollowInterval);
  }
  return {};
}

Outcome run(const Invocation& invocation) {
  const auto limit = invocation.number("limit", 200, 0, kMostEvents);
  if (!limit) return std::unexpected(limit.error());
  if (!invocation.has("follow")) {
    return show(invocation, events_path(invocation, *limit, 0),
                [&](const json& answer) { return events_table(answer.at("events"), {"", invocation.colours}); });
  }
  const auto client = invocation.client();
  if (!client) return std::unexpected(client.error());
  return follow(invocation, *client, *limit);
}

}  // namespace

Command events_command() {
  return {.name = "events",
          .help = "What changed, when and why; newest first",
          .options = {{.name = "limit", .value = "N", .help = "at most so many (200)"},
                      {.name = "kind", .value = "KIND", .help = "only of backend, pool, dataplane, control, ..."},
                      {.name = "follow", .value = "", .help = "oldest first, and new ones as they come"}},
          .run = run};
}

}  // namespace sluice::ctl
