// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/doctor/asking.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace sluice::ctl {

using config::IpAddress;
using nlohmann::json;

namespace {

/// fe80::/10
bool is_link_local(const IpAddress& address) {
  return address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

config::IpPrefix network_of(const OwnAddress& own) {
  return config::IpPrefix::of(own.address, own.bits);
}

config::IpPrefix alone(const IpAddress& address) {
  return {address};
}

}  // namespace

Sources::Sources(const Patient& patient) : all_(patient.machine.own_addresses()), twins_(twins_of(patient)) {
  std::set<IpAddress> vips;
  for (const config::Service& service : patient.config.services) vips.insert(service.vip);
  std::erase_if(all_, [&](const OwnAddress& own) {
    return vips.contains(own.address) || std::ranges::find(twins_, own.interface) == twins_.end();
  });
}

std::optional<IpAddress> Sources::on_link(const std::string& twin) const {
  std::optional<IpAddress> out;
  for (const OwnAddress& own : all_) {
    if (own.interface != twin || own.address.is_v4()) continue;
    if (!out || is_link_local(own.address)) out = own.address;
  }
  return out;
}

std::optional<IpAddress> Sources::towards(const std::string& twin, bool v4) const {
  std::optional<IpAddress> out;
  for (const OwnAddress& own : all_) {
    if (own.address.is_v4() != v4 || is_link_local(own.address)) continue;
    if (!out || own.interface == twin) out = own.address;
  }
  return out;
}

std::optional<IpAddress> Sources::beyond(const std::string& twin, const IpAddress& server) const {
  for (const OwnAddress& own : all_) {
    const bool fits = own.interface != twin && own.address.is_v4() == server.is_v4() && !is_link_local(own.address) &&
                      !network_of(own).contains(alone(server));
    const bool is_near = std::ranges::any_of(all_, [&](const OwnAddress& other) {
      return other.interface == twin && network_of(other).contains(alone(own.address));
    });
    if (fits && !is_near) return own.address;
  }
  return std::nullopt;
}

std::optional<Server> well_server(const Patient& patient, const json& backend) {
  const json& hop = backend.at("next_hop");
  if (hop.is_null() || backend.at("health").get<std::string>() != "up") return std::nullopt;
  const auto& ports = patient.config.dataplane.ports;
  const auto port = std::ranges::find(ports, hop.at("port").get<std::string>(), &config::Port::name);
  const auto address = IpAddress::parse(backend.at("address").get<std::string>());
  if (port == ports.end() || !address) return std::nullopt;
  return Server{name_of(backend), *address, backend.at("port").get<uint16_t>(), port->twin,
                hop.at("mac").get<std::string>()};
}

std::string name_of(const json& backend) {
  return backend.at("pool").get<std::string>() + "/" + backend.at("name").get<std::string>();
}

void report_unasked(const std::string& topic, const std::string& why, Report& report) {
  report.warn(topic, "nobody could be asked: " + why, "ask as root, or with CAP_NET_RAW, while the twins are up");
}

}  // namespace sluice::ctl
