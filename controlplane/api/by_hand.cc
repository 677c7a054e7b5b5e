// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/api/by_hand_request.h"
#include "controlplane/base/times.h"
#include "controlplane/changes/by_hand_json.h"
#include "controlplane/figures/figures.h"
#include "controlplane/fleet/fleet.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

json entry_json(const ByHand& entry) {
  json out{{"admin", name_of(entry.admin)},
           {"admin_since", nullptr},
           {"deadline", nullptr},
           {"flows_cut", entry.flows_cut},
           {"weight", entry.weight ? json(*entry.weight) : json(nullptr)},
           {"weight_since", nullptr},
           {"warm_up", nullptr}};
  if (entry.admin != Admin::kEnabled) out["admin_since"] = to_rfc3339(entry.admin_since);
  if (entry.deadline) out["deadline"] = to_rfc3339(*entry.deadline);
  if (entry.weight) out["weight_since"] = to_rfc3339(entry.weight_since);
  if (entry.warm_up == WarmUpClock{}) return out;
  out["warm_up"] = {{"behind_s", entry.warm_up.behind.count()},
                    {"paused", entry.warm_up.paused ? json(to_rfc3339(*entry.warm_up.paused)) : json(nullptr)},
                    {"since", to_rfc3339(entry.warm_up_since)}};
  return out;
}

ApiResponse changed(const Overrides::Change& change, const std::string& warning) {
  return ApiResponse::json({{"backends", change.names}, {"warning", warning}});
}

/// What the change is about, and how many sessions are open there.
ApiResponse foretold(const ApiContext& context, const ByHandRequest& wanted) {
  if (!wanted.fleet) {
    const auto after = context.overrides->changed(context.overrides->entries(), wanted.change);
    if (!after) return ApiResponse::error(http::status::conflict, after.error());
  }
  std::optional<uint64_t> sum = 0;
  for (const std::string& name : wanted.change.names) {
    const auto flows = context.overrides->flows_of(name);
    sum = sum && flows ? std::optional(*sum + *flows) : std::nullopt;
  }
  return ApiResponse::json(
      {{"backends", wanted.change.names}, {"warning", ""}, {"flows_now", sum ? json(*sum) : json(nullptr)}});
}

ApiResponse change_here(const ApiContext& context, const Overrides::Change& wanted) {
  const auto done = context.overrides->change(wanted);
  if (!done) return ApiResponse::error(http::status::conflict, done.error());
  context.changed();
  return changed(wanted, *done);
}

/// By way of etcd, from where this node hears of it as all others do.
void change_everywhere(const ApiContext& context, const Overrides::Change& wanted, const std::string& who,
                       const Reply& reply) {
  if (context.fleet == nullptr || !context.fleet->etcd())
    return reply(
        ApiResponse::error(http::status::conflict, "nothing is shared with other nodes: fleet.etcd is not set"));
  const Wishes& wishes = context.overrides->wishes();
  ByHandEntries before;
  for (const auto& [name, wish] : wishes) {
    if (!wish.entry.is_empty()) before.emplace(name, wish.entry);
  }
  const auto after = context.overrides->changed(before, wanted);
  if (!after) return reply(ApiResponse::error(http::status::conflict, after.error()));
  std::vector<WishChange> changes;
  const auto note = [&](const std::string& name, std::optional<Wish> wish) {
    const auto known = wishes.find(name);
    changes.push_back({name, known == wishes.end() ? 0 : known->second.revision, std::move(wish)});
  };
  for (const auto& [name, entry] : *after) {
    const auto known = before.find(name);
    if (known == before.end() || known->second != entry)
      note(name, Wish{.entry = entry, .node = context.fleet->node(), .who = who});
  }
  for (const auto& [name, entry] : before) {
    if (!after->contains(name)) note(name, std::nullopt);
  }
  if (changes.empty()) return reply(changed(wanted, ""));
  context.fleet->change(changes, [wanted, reply](const std::string& fault) {
    reply(fault.empty() ? changed(wanted, "") : ApiResponse::error(http::status::conflict, fault));
  });
}

void change(const ApiContext& context, const ApiRequest& request, const Reply& reply) {
  const auto wanted =
      by_hand_request_from(context.config, context.overrides->entries(), context.overrides->wishes(), request.body);
  if (!wanted) return reply(ApiResponse::error(wanted.error().status, wanted.error().text));
  if (wanted->dry_run) return reply(foretold(context, *wanted));
  if (!wanted->fleet) return reply(change_here(context, wanted->change));
  change_everywhere(context, wanted->change, request.who, reply);
}

}  // namespace

std::function<std::optional<uint64_t>(const Member&)> told_by(const ChannelClient& channel) {
  return [&channel](const Member& member) -> std::optional<uint64_t> {
    const auto figures = figures_of(channel, member);
    if (!figures) return std::nullopt;
    return figures->smtp[channel::SmtpCounter::kEndedTold];
  };
}

json by_hand_json(const Overrides& overrides, const Overrides::Flows& told) {
  json out = json::array();
  const auto add = [&](const std::string& name, const ByHand& entry, json fleet) {
    json shown = entry_json(entry);
    shown["backend"] = name;
    const auto flows = overrides.flows_of(name);
    shown["flows_now"] = flows ? json(*flows) : json(nullptr);
    const auto flows_told = overrides.sum_of(name, told);
    shown["flows_told"] = flows_told ? json(*flows_told) : json(nullptr);
    shown["fleet"] = std::move(fleet);
    out.push_back(std::move(shown));
  };
  for (const auto& [name, entry] : overrides.entries()) add(name, entry, nullptr);
  for (const auto& [name, wish] : overrides.wishes()) {
    if (!wish.entry.is_empty()) add(name, wish.entry, {{"node", wish.node}, {"who", wish.who}});
  }
  return out;
}

void add_by_hand_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/by-hand", [&context](const ApiRequest&) {
    return ApiResponse::json({{"by_hand", by_hand_json(*context.overrides, told_by(context.channel))}});
  });
  router.add_later(http::verb::post, "/api/v1/by-hand",
                   [&context](const ApiRequest& request, const Reply& reply) { change(context, request, reply); });
}

}  // namespace sluice::control
