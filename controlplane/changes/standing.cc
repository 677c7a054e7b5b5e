// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/standing.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "config/choices.h"
#include "controlplane/base/json_fields.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr int kVersion = 1;

json to_json(const Removal& removal) {
  return {{"since_ms", to_ms(removal.since)}, {"deadline_ms", to_ms(removal.deadline)}};
}

Removal removal_from(const json& value) {
  return {.since = time_in(value, "since_ms"),
          .deadline = time_in(value, "deadline_ms"),
          .empty_since = {},
          .is_absolute = true};
}

json to_json(const Member& member) {
  json out{{"key", member.key},   {"pool", member.pool},
           {"name", member.name}, {"address", member.address.to_string()},
           {"port", member.port}, {"check", member.check}};
  if (member.removal) out["removal"] = to_json(*member.removal);
  return out;
}

config::IpAddress address_from(const json& value) {
  const auto address = config::IpAddress::parse(value.get<std::string>());
  if (!address) throw std::invalid_argument(value.dump() + " is no address");
  return *address;
}

// These throw what nlohmann throws for another form, and std::invalid_argument.

uint16_t port_in(const json& value) {
  return static_cast<uint16_t>(whole_in(value, "port", 0, UINT16_MAX));
}

Member member_from(const json& value, SystemTime now) {
  Member out;
  out.key = unsigned_in(value, "key");
  out.pool = value.at("pool").get<std::string>();
  out.name = value.at("name").get<std::string>();
  out.address = address_from(value.at("address"));
  out.port = port_in(value);
  out.check = value.at("check").get<std::string>();
  out.since = now;
  if (value.contains("removal")) out.removal = removal_from(value.at("removal"));
  if (out.removal || out.check.empty()) {
    out.health = Health::kUp;
    out.health_reason = "not checked";
  }
  return out;
}

/// What is needed of it when it is no longer in the file.
json to_json(const ServiceState& service) {
  const config::Service& config = service.config;
  return {{"key", service.key},
          {"name", config.name},
          {"vip", config.vip.to_string()},
          {"port", config.port},
          {"pool", config.pool},
          {"forwarding", config::name_of(config.forwarding)},
          {"proxy", config::name_of(config.proxy)},
          {"on_backend_down", config::name_of(config.on_backend_down)},
          {"on_no_backend", config::name_of(config.on_no_backend)},
          {"text_421", config.text_421},
          {"syn_proxy", config::name_of(config.syn_proxy)},
          {"mss", config.mss},
          {"idle_timeout", config.idle_timeout ? json(*config.idle_timeout) : json(nullptr)}};
}

template <class E>
E choice_from(const json& value) {
  for (const auto& choice : config::kChoices<E>) {
    if (choice.name == value.get<std::string>()) return choice.value;
  }
  throw std::invalid_argument(value.dump() + " is not known");
}

ServiceState service_from(const json& value) {
  ServiceState out;
  out.key = unsigned_in(value, "key");
  out.placement = kNoPlacement;
  out.config.name = value.at("name").get<std::string>();
  out.config.vip = address_from(value.at("vip"));
  out.config.port = port_in(value);
  if (out.key != service_key({to_wire(out.config.vip), Be16::of(out.config.port)}))
    throw std::invalid_argument("a service has another's key");
  out.config.pool = value.at("pool").get<std::string>();
  out.config.forwarding = choice_from<config::Forwarding>(value.at("forwarding"));
  out.config.proxy = choice_from<config::Proxy>(value.at("proxy"));
  out.config.on_backend_down = choice_from<config::OnBackendDown>(value.at("on_backend_down"));
  out.config.on_no_backend = choice_from<config::OnNoBackend>(value.value("on_no_backend", json("reset")));
  out.config.text_421 = value.value("text_421", out.config.text_421);
  out.config.syn_proxy = choice_from<config::SynProxy>(value.value("syn_proxy", json("auto")));
  out.config.mss = static_cast<uint16_t>(whole_in(value, "mss", 0, UINT16_MAX));
  if (value.contains("idle_timeout") && !value["idle_timeout"].is_null())
    out.config.idle_timeout = static_cast<uint32_t>(whole_in(value, "idle_timeout", 0, UINT32_MAX));
  return out;
}

/// Sorted. Those of other nodes are the file's to say.
std::vector<LocalAddress> local_addresses_from(const json& list) {
  std::set<LocalAddress> out;
  for (const json& each : list) {
    LocalAddress local{each.at("twin").get<std::string>(), address_from(each.at("address"))};
    if (local.is_of_peer()) throw std::invalid_argument("an address of ours is on no twin");
    out.insert(std::move(local));
  }
  if (out.size() > channel::kMaxLocals) throw std::invalid_argument("more addresses of ours than there are places");
  return {out.begin(), out.end()};
}

Model model_from(const json& whole, Journal& journal) {
  Remembered out;
  for (const json& each : whole.at("backends")) out.members.push_back(member_from(each, journal.now()));
  for (const json& each : whole.at("services")) {
    const ServiceState service = service_from(each);
    if (each.contains("removal")) {
      out.removed_services.push_back({service, removal_from(each.at("removal"))});
    } else {
      out.services.push_back(service);
    }
  }
  for (const auto& [pool, rule] : whole.at("pools").items()) {
    out.removal_rules.emplace(
        pool, RemovalRule{choice_from<config::OnRemoval>(rule.at("on_removal")),
                          std::chrono::milliseconds(whole_in(rule, "removal_deadline_ms", 0, UINT32_MAX))});
  }
  out.local_addresses = local_addresses_from(whole.value("local_addresses", json::array()));
  return Model(std::move(out), journal);
}

}  // namespace

std::string standing_text(const Model& model) {
  json out{{"version", kVersion}, {"backends", json::array()}, {"services", json::array()}, {"pools", json::object()}};
  for (const Member& member : model.members()) out["backends"].push_back(to_json(member));
  for (const ServiceState& service : model.services()) out["services"].push_back(to_json(service));
  for (const RemovedService& service : model.removed_services()) {
    out["services"].push_back(to_json(service));
    out["services"].back()["removal"] = to_json(service.removal);
  }
  for (const auto& [pool, rule] : model.removal_rules()) {
    out["pools"][pool] = {{"on_removal", config::name_of(rule.on_removal)},
                          {"removal_deadline_ms", rule.deadline.count()}};
  }
  out["local_addresses"] = json::array();
  for (const LocalAddress& local : model.local_addresses()) {
    if (!local.is_of_peer())
      out["local_addresses"].push_back({{"twin", local.twin}, {"address", local.address.to_string()}});
  }
  return out.dump(1) + "\n";
}

std::expected<Model, std::string> standing_from(std::string_view text, Journal& journal) {
  try {
    const json whole = json::parse(text);
    require_version(whole, kVersion);
    return model_from(whole, journal);
  } catch (const std::exception& fault) {
    return std::unexpected(fault.what());
  }
}

}  // namespace sluice::control
