// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/by_hand_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "config/bounds.h"
#include "controlplane/changes/names.h"

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

template <typename T>
using Parsed = std::expected<T, ByHandRequest::Refusal>;

std::unexpected<ByHandRequest::Refusal> bad(std::string text) {
  return std::unexpected(ByHandRequest::Refusal{http::status::bad_request, std::move(text)});
}
std::unexpected<ByHandRequest::Refusal> unknown(std::string text) {
  return std::unexpected(ByHandRequest::Refusal{http::status::not_found, std::move(text)});
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

/// What a request may speak of.
struct Known {
  const config::Config& config;
  const ByHandEntries& entries;
  const Wishes& wishes;
};

/// The entries that "backend", "pool" or "all" name.
Parsed<std::vector<std::string>> names(const Known& known, const json& body, Action action, bool fleet) {
  const int given = static_cast<int>(body.contains("backend") + body.contains("pool") + body.contains("all"));
  if (given != 1) return bad("one of \"backend\", \"pool\" and \"all\" says what is meant");
  if (body.contains("all")) {
    if (action != Action::kClear || body["all"] != json(true)) return bad("\"all\": allowed: true, to clear");
    std::vector<std::string> out;
    const auto take = [&](const auto& entries) {
      for (const auto& [name, entry] : entries) out.push_back(name);
    };
    if (fleet) {
      take(known.wishes);
    } else {
      take(known.entries);
    }
    return out;
  }
  const char* kind = body.contains("pool") ? "pool" : "backend";
  if (!body[kind].is_string()) return bad(fmt::format("\"{}\" has to be a string", kind));
  const auto name = body[kind].get<std::string>();
  if (kind == std::string_view("pool")) return pool_names(known.config, name);
  // What is left of a backend that is no longer in the file can be cleared too.
  const bool is_kept = fleet ? known.wishes.contains(name) : known.entries.contains(name);
  if (is_kept) return std::vector{name};
  const auto backend = find_backend(known.config, name);
  if (!backend) return unknown(backend.error());
  return std::vector{backend->to_string()};
}

}  // namespace

std::expected<ByHandRequest, ByHandRequest::Refusal> by_hand_request_from(const config::Config& config,
                                                                          const ByHandEntries& entries,
                                                                          const Wishes& wishes,
                                                                          const std::string& text) {
  const json body = json::parse(text, nullptr, false);
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
  auto meant = names({config, entries, wishes}, body, out.action, fleet);
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
  return ByHandRequest{.change = std::move(out), .fleet = fleet, .dry_run = body.value("dry_run", false)};
}

}  // namespace sluice::control
