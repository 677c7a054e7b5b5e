// SPDX-License-Identifier: Apache-2.0
//
// Our ports beside the data plane's: one entry for each of ours, then what it has besides.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/api/status_json.h"
#include "controlplane/base/mac_address.h"
#include "controlplane/channel/published_ports.h"

namespace sluice::control {

namespace http = boost::beast::http;
using nlohmann::json;

namespace {

json duplex_json(channel::Duplex duplex) {
  if (duplex == channel::Duplex::kUnknown) return nullptr;
  return duplex == channel::Duplex::kFull ? "full" : "half";
}

json counters_json(const PublishedPort& port) {
  json out = json::object();
  for (size_t i = 0; i < channel::kPortCounterCount; i++) {
    out[std::string(channel::kPortCounterInfo[i].name)] = port.counters[i];
  }
  return out;
}

json steering_json(const PublishedPort& port) {
  const bool misplaces = port.steering == channel::Steering::kMisplaces;
  const auto fault = static_cast<size_t>(port.steering_fault);
  return {{"state", channel::kSteeringName[static_cast<size_t>(port.steering)]},
          {"fault", misplaces ? json(channel::kSteeringFaultName[fault]) : json()},
          {"misplaced", port.rss_misplaced}};
}

json members_json(const PublishedPort& port) {
  json out = json::array();
  for (const PublishedMember& member : port.members)
    out.push_back({{"device", member.device}, {"link_up", member.link_up}, {"carries", member.carries}});
  return out;
}

json published_json(const PublishedPort& port) {
  return {{"twin", port.twin},
          {"mac", to_string(port.mac)},
          {"vlan", port.vlan},
          {"mtu", port.mtu},
          {"driver", port.driver},
          {"link_up", port.link_up},
          {"speed_mbps", port.speed_mbps == 0 ? json() : json(port.speed_mbps)},
          {"duplex", duplex_json(port.duplex)},
          {"link_changes", port.link_changes},
          {"steering", steering_json(port)},
          {"counters", counters_json(port)},
          {"members", members_json(port)}};
}

/// `ours` or `theirs` may be null, not both.
json port_json(const BoundPort* ours, const PublishedPort* theirs, bool connected) {
  json out{{"name", ours != nullptr ? ours->name : theirs->name},
           {"twin", ours != nullptr ? ours->twin : theirs->twin},
           {"reason", ""},
           {"dataplane", theirs == nullptr ? json() : published_json(*theirs)}};
  if (!connected) {
    out["state"] = "unknown";
    out["reason"] = "not connected to the data plane";
  } else if (ours == nullptr) {
    out["state"] = "not ours";
    out["reason"] = "the data plane has it, our configuration has not";
  } else if (!ours->fault.empty()) {
    out["state"] = "refused";
    out["reason"] = ours->fault;
  } else {
    out["state"] = theirs->link_up ? "up" : "link down";
  }
  return out;
}

}  // namespace

json ports_json(const ApiContext& context) {
  const ChannelMapping* mapping = context.channel.mapping();
  const auto theirs = mapping == nullptr ? std::vector<PublishedPort>{} : published_ports(*mapping);
  const std::vector<BoundPort>& ours = context.model.ports();
  json out = json::array();
  for (const BoundPort& port : ours) {
    const auto found = std::ranges::find(theirs, port.name, &PublishedPort::name);
    const bool known = found != theirs.end() || !port.fault.empty();
    out.push_back(port_json(&port, found == theirs.end() ? nullptr : &*found, mapping != nullptr && known));
  }
  for (const PublishedPort& port : theirs) {
    if (std::ranges::find(ours, port.name, &BoundPort::name) == ours.end())
      out.push_back(port_json(nullptr, &port, true));
  }
  return out;
}

void add_port_routes(Router& router, const ApiContext& context) {
  router.add(http::verb::get, "/api/v1/ports", [&context](const ApiRequest&) {
    return ApiResponse::json({{"time", to_rfc3339(context.journal.now())}, {"ports", ports_json(context)}});
  });
}

}  // namespace sluice::control
