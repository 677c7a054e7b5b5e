// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/by_hand.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "controlplane/base/json_fields.h"
#include "controlplane/base/times.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr int kVersion = 1;
constexpr int64_t kMostWeight = 65535;
constexpr int64_t kLongestS = 100LL * 366 * 86400;
constexpr std::array kAdmins{Admin::kEnabled, Admin::kDraining, Admin::kDisabled};

Admin admin_from(const std::string& name) {
  for (const Admin admin : kAdmins) {
    if (name_of(admin) == name) return admin;
  }
  throw std::invalid_argument("\"" + name + "\" is no administrative state");
}

json to_json(const ByHand& entry) {
  json out = json::object();
  if (entry.admin != Admin::kEnabled) {
    out["admin"] = name_of(entry.admin);
    out["admin_since_ms"] = to_ms(entry.admin_since);
    out["flows_cut"] = entry.flows_cut;
    if (entry.deadline) out["deadline_ms"] = to_ms(*entry.deadline);
  }
  if (entry.weight) {
    out["weight"] = *entry.weight;
    out["weight_since_ms"] = to_ms(entry.weight_since);
  }
  if (entry.warm_up != WarmUpClock{}) {
    out["warm_up_behind_s"] = entry.warm_up.behind.count();
    out["warm_up_since_ms"] = to_ms(entry.warm_up_since);
    if (entry.warm_up.paused) out["warm_up_paused_ms"] = to_ms(*entry.warm_up.paused);
  }
  return out;
}

/// Throws what nlohmann throws for another form, and std::invalid_argument.
ByHand entry_from(const json& value) {
  ByHand out;
  if (value.contains("admin")) {
    out.admin = admin_from(value.at("admin").get<std::string>());
    out.admin_since = time_in(value, "admin_since_ms");
    out.flows_cut = static_cast<uint64_t>(whole_in(value, "flows_cut", 0, INT64_MAX));
    if (value.contains("deadline_ms")) out.deadline = time_in(value, "deadline_ms");
  }
  if (value.contains("weight")) {
    out.weight = static_cast<uint32_t>(whole_in(value, "weight", 0, kMostWeight));
    out.weight_since = time_in(value, "weight_since_ms");
  }
  if (value.contains("warm_up_behind_s")) {
    out.warm_up.behind = std::chrono::seconds(whole_in(value, "warm_up_behind_s", -kLongestS, kLongestS));
    out.warm_up_since = time_in(value, "warm_up_since_ms");
    if (value.contains("warm_up_paused_ms")) out.warm_up.paused = time_in(value, "warm_up_paused_ms");
  }
  return out;
}

json to_json(const Wish& wish) {
  return {{"entry", to_json(wish.entry)}, {"node", wish.node}, {"who", wish.who}};
}

/// As entry_from().
Wish wish_of(const json& value) {
  return {.entry = entry_from(value.at("entry")),
          .node = value.at("node").get<std::string>(),
          .who = value.at("who").get<std::string>()};
}

/// Names may be of any bytes: others wrote them.
std::string text_of(const json& value) {
  return value.dump(2, ' ', false, json::error_handler_t::replace);
}

/// What `read` makes of the object in `text`, or why it can make nothing.
template <typename Read>
auto parsed(std::string_view text, Read read) -> std::expected<decltype(read(json())), std::string> {
  try {
    return read(json::parse(text));
  } catch (const std::exception& fault) {
    return std::unexpected(fault.what());
  }
}

/// Throws if it is of another version.
const json& backends_of(const json& whole) {
  require_version(whole, kVersion);
  return whole.at("backends");
}

}  // namespace

std::string to_text(const Wish& wish) {
  return text_of(to_json(wish));
}

std::string to_text(const Wishes& wishes) {
  json backends = json::object();
  for (const auto& [name, wish] : wishes) {
    backends[name] = to_json(wish);
    backends[name]["revision"] = wish.revision;
  }
  return text_of({{"version", kVersion}, {"backends", std::move(backends)}}) + "\n";
}

std::expected<Wish, std::string> wish_from(std::string_view text) {
  return parsed(text, wish_of);
}

std::expected<Wishes, std::string> wishes_from(std::string_view text) {
  return parsed(text, [](const json& whole) {
    Wishes out;
    for (const auto& [name, value] : backends_of(whole).items()) {
      Wish wish = wish_of(value);
      wish.revision = whole_in(value, "revision", 0, INT64_MAX);
      out.emplace(name, std::move(wish));
    }
    return out;
  });
}

std::string to_text(const ByHandEntries& entries) {
  json backends = json::object();
  for (const auto& [name, entry] : entries) backends[name] = to_json(entry);
  return text_of({{"version", kVersion}, {"backends", std::move(backends)}}) + "\n";
}

std::expected<ByHandEntries, std::string> by_hand_from(std::string_view text) {
  return parsed(text, [](const json& whole) {
    ByHandEntries out;
    for (const auto& [name, value] : backends_of(whole).items()) out.emplace(name, entry_from(value));
    return out;
  });
}

}  // namespace sluice::control
