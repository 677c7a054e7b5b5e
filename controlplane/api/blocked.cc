// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <variant>
#include <vector>

#include "controlplane/api/api.h"
#include "controlplane/api/block_request.h"
#include "controlplane/api/status_json.h"
#include "controlplane/base/put_first.h"
#include "controlplane/base/times.h"
#include "controlplane/changes/sources.h"
#include "controlplane/fleet/fleet.h"
#include "controlplane/http/query.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

constexpr size_t kMostShown = 100;
constexpr size_t kMostOffenders = 1000;  // of all that are listed
constexpr uint64_t kMostNewest = 1000;

json time_or_null(const std::optional<SystemTime>& time) {
  return time ? json(to_rfc3339(*time)) : json(nullptr);
}

json entry_json(const config::IpPrefix& prefix, std::string_view by, std::optional<SystemTime> since,
                std::optional<SystemTime> until) {
  return {{"prefix", prefix.to_string()},
          {"by", by},
          {"since", time_or_null(since)},
          {"until", time_or_null(until)},
          {"fleet", nullptr}};
}

json entry_json(const config::IpPrefix& prefix, const FleetBlock& said) {
  json out = entry_json(prefix, "fleet", said.block.since, said.block.until);
  out["fleet"] = {{"node", said.node}, {"who", said.who}};
  return out;
}

json entry_json(const config::IpPrefix& prefix, const Offender& offender) {
  return entry_json(prefix, name_of(offender.offence), offender.since, offender.until);
}

json entry_json(const config::IpPrefix& prefix, const Block& by_hand) {
  return entry_json(prefix, "hand", by_hand.since, by_hand.until);
}

json entry_json(const BlockedBy& by) {
  if (by.on_all_nodes) return entry_json(by.prefix, *by.on_all_nodes);
  if (by.offender) return entry_json(by.prefix, *by.offender);
  if (by.by_hand) return entry_json(by.prefix, *by.by_hand);
  return entry_json(by.prefix, "file", {}, {});
}

json allow_json(const Sources& sources) {
  json out = json::array();
  for (const config::IpPrefix& prefix : sources.config().allow) out.push_back(prefix.to_string());
  return out;
}

/// One of those that are blocked as a whole. It lives as long as what it points to.
struct Listed {
  const config::IpPrefix* prefix;
  SystemTime since;
  std::variant<const Block*, const FleetBlock*, const Offender*> why;
};

/// By hand, on all nodes, and for an offence: at most `most_offenders` of these.
std::vector<Listed> listed(const Sources& sources, size_t most_offenders) {
  std::vector<Listed> out;
  for (const auto& [prefix, block] : sources.by_hand()) out.push_back({&prefix, block.since, &block});
  for (const auto& [prefix, said] : sources.on_all_nodes().entries()) out.push_back({&prefix, said.block.since, &said});
  for (const auto& [source, offender] : sources.offenders().entries()) {
    if (most_offenders-- == 0) break;
    out.push_back({&source, offender.since, &offender});
  }
  return out;
}

/// What is blocked as a whole; the `newest` of it, if that is said.
json everything(const Sources& sources, std::optional<uint64_t> newest) {
  const Offenders& offenders = sources.offenders();
  std::vector<Listed> entries = listed(sources, newest ? Offenders::kMost : kMostOffenders);
  if (newest) {
    entries.resize(put_first(entries, *newest, [](const Listed& a, const Listed& b) {
      return a.since != b.since ? a.since > b.since : *a.prefix < *b.prefix;
    }));
  }
  json blocked = json::array();
  for (const Listed& one : entries)
    blocked.push_back(std::visit([&](const auto* why) { return entry_json(*one.prefix, *why); }, one.why));
  return {{"file", block_file_json(sources)},
          {"blocked", std::move(blocked)},
          {"by_hand", sources.by_hand().size() + sources.on_all_nodes().entries().size()},
          {"offenders", offenders.entries().size()},
          {"offences",
           {{"early_talkers", offenders.early_talkers()},
            {"auth_failures", offenders.auth_failures()},
            {"short_tls_sessions", offenders.short_tls_sessions()}}},
          {"allow", allow_json(sources)}};
}

/// What blocks one prefix, or a part of it.
json one(const Sources& sources, const config::IpPrefix& prefix) {
  json blocked = json::array();
  bool whole = false;
  for (const BlockedBy& by : sources.what_blocks(prefix, kMostShown)) {
    blocked.push_back(entry_json(by));
    whole |= by.prefix.contains(prefix);
  }
  const bool exempt = sources.is_exempt(prefix);
  return {{"of", prefix.to_string()},
          {"state", exempt            ? "exempt"
                    : whole           ? "blocked"
                    : blocked.empty() ? "free"
                                      : "partly blocked"},
          {"blocked", std::move(blocked)},
          {"allow", allow_json(sources)}};
}

ApiResponse show(const Sources& sources, const ApiRequest& request) {
  const auto query = Query::parse(request.query, {"of", "newest"});
  if (!query) return ApiResponse::error(http::status::bad_request, query.error());
  const auto newest = query->number("newest", 0, {1, kMostNewest});
  if (!newest) return ApiResponse::error(http::status::bad_request, newest.error());
  const auto of = query->text("of");
  if (of && *newest != 0)
    return ApiResponse::error(http::status::bad_request, "\"newest\" and \"of\": allowed: one of them");
  if (!of) return ApiResponse::json(everything(sources, *newest == 0 ? std::nullopt : std::optional(*newest)));
  const auto prefix = config::IpPrefix::parse(*of);
  if (!prefix) {
    return ApiResponse::error(http::status::bad_request,
                              fmt::format("\"{}\" {}; {}", *of, prefix.error(), kPrefixAllowed));
  }
  return ApiResponse::json(one(sources, *prefix));
}

ApiResponse changed(const Sources& sources, const BlockRequest& wanted, std::string warning) {
  if (warning.empty() && wanted.blocks && sources.is_exempt(wanted.prefix))
    warning = "sources.allow exempts it: it is not blocked as long as that stands in the configuration";
  if (warning.empty() && !wanted.blocks && !sources.what_blocks(wanted.prefix, 1).empty())
    warning = "it is blocked by something else still";
  return ApiResponse::json({{"prefix", wanted.prefix.to_string()}, {"warning", warning}});
}

ApiResponse change_here(Sources& sources, const BlockRequest& wanted) {
  const auto done = wanted.blocks ? sources.block(wanted.prefix, wanted.duration) : sources.unblock(wanted.prefix);
  if (done) return changed(sources, wanted, *done);
  if (wanted.blocks) return ApiResponse::error(http::status::conflict, done.error());
  const bool is_elsewhere = sources.on_all_nodes().entries().contains(wanted.prefix);
  return ApiResponse::error(http::status::not_found,
                            done.error() + (is_elsewhere ? " on this node, but on all of them: say it for those" : ""));
}

/// By way of etcd, from where this node hears of it as all others do.
void change_everywhere(const ApiContext& context, const BlockRequest& wanted, const std::string& who,
                       const Reply& reply) {
  if (context.fleet == nullptr || !context.fleet->etcd())
    return reply(
        ApiResponse::error(http::status::conflict, "nothing is shared with other nodes: fleet.etcd is not set"));
  const FleetBlocks& known = context.sources->on_all_nodes();
  BlockChange change{wanted.prefix, known.revision_of(wanted.prefix), {}};
  if (!wanted.blocks && change.revision == 0)
    return reply(
        ApiResponse::error(http::status::not_found, wanted.prefix.to_string() + " is not blocked on all nodes"));
  if (wanted.blocks && known.entries().size() >= kMostFleetBlocks && !known.entries().contains(wanted.prefix))
    return reply(ApiResponse::error(
        http::status::conflict,
        fmt::format("{} prefixes are blocked on all nodes, and more there may not be; use block_file",
                    kMostFleetBlocks)));
  if (wanted.blocks) {
    const SystemTime now = context.journal.now();
    change.block = FleetBlock{{now, {}}, context.fleet->node(), who};
    if (wanted.duration) change.block->block.until = now + *wanted.duration;
  }
  context.fleet->change(change, [&context, wanted, reply](const std::string& fault) {
    reply(fault.empty() ? changed(*context.sources, wanted, "") : ApiResponse::error(http::status::conflict, fault));
  });
}

void change(const ApiContext& context, const ApiRequest& request, const Reply& reply) {
  const auto wanted = block_request_from(request.body);
  if (!wanted) return reply(ApiResponse::error(http::status::bad_request, wanted.error()));
  if (!wanted->fleet) return reply(change_here(*context.sources, *wanted));
  change_everywhere(context, *wanted, request.who, reply);
}

}  // namespace

json block_file_json(const Sources& sources) {
  return {{"path", sources.config().block_file},
          {"prefixes", sources.file_prefixes()},
          {"loaded", time_or_null(sources.file_loaded())},
          {"fault", sources.file_fault()}};
}

json fleet_blocks_json(const Sources& sources) {
  json out = json::array();
  for (const auto& [prefix, block] : sources.on_all_nodes().entries()) out.push_back(entry_json(prefix, block));
  return out;
}

void add_blocked_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/blocked",
             [&context](const ApiRequest& request) { return show(*context.sources, request); });
  router.add_later(http::verb::post, "/api/v1/blocked",
                   [&context](const ApiRequest& request, const Reply& reply) { change(context, request, reply); });
}

}  // namespace sluice::control
