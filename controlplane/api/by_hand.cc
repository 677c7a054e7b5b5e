// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "config/bounds.h"
#include "controlplane/api/api.h"
#include "controlplane/base/times.h"
#include "controlplane/changes/by_hand_json.h"
#include "controlplane/changes/names.h"
#include "controlplane/figures/figures.h"
#include "controlplane/fleet/fleet.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;
using Action = Overrides::Action;

namespace {

constexpr int64_t kLongestDeadlineS = 30 * 86400;
constexpr int64_t kMaxWeight = 65535;

struct NamedAction {
  std::string_view name;
  Action action;
};
constexpr std::array<NamedAction, 8> kActions{{{"drain", Action::kDrain},
                                               {"disable", Action::kDisable},
                                               {"enable", Action::kEnable},
                                               {"weight", Action::kWeight},
                                               {"clear", Action::kClear},
                                               {"pause", Action::kPause},
                                               {"resume", Action::kResume},
                                               {"roll_back", Action::kRollBack}}};

/// What is wrong with a request, and how it is answered.
struct Refusal {
  http::status status = http::status::bad_request;
  std::string text;
};
template <typename T>
using Parsed = std::expected<T, Refusal>;

std::unexpected<Refusal> bad(std::string text) {
  return std::unexpected(Refusal{http::status::bad_request, std::move(text)});
}
std::unexpected<Refusal> unknown(std::string text) {
  return std::unexpected(Refusal{http::status::not_found, std::move(text)});
}

/// The whole number called `name`, null as if it were left out.
Parsed<std::optional<int64_t>> number(const json& body, const std::string& name, int64_t least, int64_t most) {
  if (!body.contains(name) || body[name].is_null()) return std::nullopt;
  const json& value = body[name];
  // What does not fit into 64 bits is a floating-point number to the parser.
  const bool fits = value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
  if (fits && value.get<int64_t>() >= least && value.get<int64_t>() <= most) return value.get<int64_t>();
  return bad(fmt::format("\"{}\": allowed: a whole number from {} to {}", name, least, most));
}

Parsed<std::vector<std::string>> pool_names(const config::Config& config, const std::string& name) {
  const auto pool = find_pool(config, name);
  if (!pool) return unknown(pool.error());
  std::vector<std::string> out;
  for (const config::Backend& backend : (*pool)->backends) out.push_back((*pool)->name + "/" + backend.name);
  return out;
}

/// The entries that "backend", "pool" or "all" name.
Parsed<std::vector<std::string>> names(const ApiContext& context, const json& body, Action action, bool fleet) {
  const int given = static_cast<int>(body.contains("backend") + body.contains("pool") + body.contains("all"));
  if (given != 1) return bad("one of \"backend\", \"pool\" and \"all\" says what is meant");
  if (body.contains("all")) {
    if (action != Action::kClear || body["all"] != json(true)) return bad("\"all\": allowed: true, to clear");
    std::vector<std::string> out;
    const auto take = [&](const auto& entries) {
      for (const auto& [name, entry] : entries) out.push_back(name);
    };
    if (fleet) {
      take(context.overrides->wishes());
    } else {
      take(context.overrides->entries());
    }
    return out;
  }
  const char* kind = body.contains("pool") ? "pool" : "backend";
  if (!body[kind].is_string()) return bad(fmt::format("\"{}\" has to be a string", kind));
  const auto name = body[kind].get<std::string>();
  if (kind == std::string_view("pool")) return pool_names(context.config, name);
  // What is left of a backend that is no longer in the file can be cleared too.
  const bool is_kept = fleet ? context.overrides->wishes().contains(name) : context.overrides->entries().contains(name);
  if (is_kept) return std::vector{name};
  const auto backend = find_backend(context.config, name);
  if (!backend) return unknown(backend.error());
  return std::vector{backend->to_string()};
}

struct Wanted {
  Overrides::Change change;
  bool fleet = false;    // on all nodes
  bool dry_run = false;  // only what it is about
};

Parsed<Wanted> change_from(const ApiContext& context, const ApiRequest& request) {
  const json body = json::parse(request.body, nullptr, false);
  if (!body.is_object()) return bad("the body is no JSON object");
  constexpr std::array kKnown{"action", "backend", "pool", "all", "deadline_s", "weight", "days", "fleet", "dry_run"};
  for (const auto& [name, value] : body.items()) {
    if (std::ranges::find(kKnown, name) == kKnown.end()) return bad("unknown member \"" + name + "\"");
  }
  const auto word = body.contains("action") && body["action"].is_string() ? body["action"].get<std::string>() : "";
  const auto action = std::ranges::find(kActions, word, &NamedAction::name);
  if (action == kActions.end()) {
    return bad(
        "\"action\": allowed: \"drain\", \"disable\", \"enable\", \"weight\", \"clear\", \"pause\", \"resume\", "
        "\"roll_back\"");
  }
  for (const char* flag : {"fleet", "dry_run"}) {
    if (body.contains(flag) && !body[flag].is_boolean()) return bad(fmt::format("\"{}\": allowed: true, false", flag));
  }
  const bool fleet = body.value("fleet", false);
  Overrides::Change out{.action = action->action, .names = {}};
  auto meant = names(context, body, out.action, fleet);
  if (!meant) return std::unexpected(meant.error());
  out.names = std::move(*meant);
  const auto deadline = number(body, "deadline_s", 0, kLongestDeadlineS);
  const auto weight = number(body, "weight", 0, kMaxWeight);
  const auto days = number(body, "days", 1, static_cast<int64_t>(config::kMaxWarmUpDays));
  for (const auto* value : {&deadline, &weight, &days}) {
    if (!*value) return std::unexpected(value->error());
  }
  if (*deadline && out.action != Action::kDrain) return bad("\"deadline_s\" is of a drain");
  if (*weight && out.action != Action::kWeight) return bad("\"weight\" is of the action \"weight\"");
  if (*days && out.action != Action::kRollBack) return bad("\"days\" is of the action \"roll_back\"");
  if (out.action == Action::kWeight && !body.contains("weight"))
    return bad("\"weight\" is missing; null: as configured");
  if (const auto& given = *deadline) out.deadline = std::chrono::seconds(*given);
  if (const auto& given = *weight) out.weight = static_cast<uint32_t>(*given);
  if (const auto& given = *days) out.days = static_cast<uint32_t>(*given);
  return Wanted{.change = std::move(out), .fleet = fleet, .dry_run = body.value("dry_run", false)};
}

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
ApiResponse foretold(const ApiContext& context, const Wanted& wanted) {
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
  const auto wanted = change_from(context, request);
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
