// SPDX-License-Identifier: Apache-2.0
//
// Ports as tables: what they are and whether they have a link, and what their cards have counted.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "controlplane/ctl/tables.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

Cell state_cell(const json& port) {
  const std::string state = text_of(port, "state");
  if (state == "up") return {state, Colour::kGood};
  return {state, state == "link down" || state == "refused" ? Colour::kBad : Colour::kCaution};
}

std::string speed_of(const json& published) {
  const json& mbps = published.at("speed_mbps");
  if (mbps.is_null() || !published.at("link_up").get<bool>()) return "-";
  const json& duplex = published.at("duplex");
  return fmt::format("{}M{}", mbps.get<uint64_t>(), duplex.is_string() && duplex == "half" ? " half" : "");
}

std::string number_of(const json& object, const char* name) {
  return std::to_string(object.at(name).get<uint64_t>());
}

/// Losses stand out.
Cell loss_of(const json& counters, const char* name) {
  const auto value = counters.at(name).get<uint64_t>();
  return {std::to_string(value), value == 0 ? Colour::kNone : Colour::kCaution};
}

Cell steering_cell(const json& published) {
  const json& steering = published.at("steering");
  const std::string state = text_of(steering, "state");
  if (state == "steers") return {"yes", Colour::kGood};
  if (state == "unproven") return "unproven";
  if (state == "none") return "-";
  return {"no: " + text_of(steering, "fault"), Colour::kCaution};
}

}  // namespace

std::string ports_table(const json& ports, const Look& look) {
  TextTable table(
      {"PORT", "TWIN", "STATE", ">SPEED", "MAC", ">VLAN", ">MTU", "DRIVER", "STEERS", ">CHANGES", ">LOST", "REASON"});
  for (const json& port : ports) {
    std::vector<Cell> row{text_of(port, "name"), text_of(port, "twin"), state_cell(port)};
    const json& published = port.at("dataplane");
    if (published.is_null()) {
      row.insert(row.end(), 8, Cell("-"));
    } else {
      const json& counters = published.at("counters");
      const uint64_t lost = counters.at("rx_missed").get<uint64_t>() + counters.at("rx_no_mbuf").get<uint64_t>();
      row.insert(row.end(), {speed_of(published), text_of(published, "mac"), number_of(published, "vlan"),
                             number_of(published, "mtu"), text_of(published, "driver"), steering_cell(published),
                             number_of(published, "link_changes"),
                             Cell(std::to_string(lost), lost == 0 ? Colour::kNone : Colour::kCaution)});
    }
    row.emplace_back(text_of(port, "reason"));
    table.add(std::move(row));
  }
  return table.to_string(look.colours);
}

std::string port_members_table(const json& ports, const Look& look) {
  TextTable table({"BOND OF", "MEMBER", "LINK", "CARRIES"});
  bool any = false;
  for (const json& port : ports) {
    const json& published = port.at("dataplane");
    if (published.is_null()) continue;
    for (const json& member : published.at("members")) {
      const bool up = member.at("link_up").get<bool>();
      table.add({text_of(port, "name"), text_of(member, "device"),
                 Cell(up ? "up" : "down", up ? Colour::kGood : Colour::kBad),
                 member.at("carries").get<bool>() ? "yes" : "no"});
      any = true;
    }
  }
  return any ? table.to_string(look.colours) : "";
}

std::string port_counters_table(const json& ports, const Look& look) {
  TextTable table({"CARD OF", ">RX PACKETS", ">RX BYTES", ">TX PACKETS", ">TX BYTES", ">RX MISSED", ">RX NO MBUF",
                   ">RX ERRORS", ">TX ERRORS"});
  for (const json& port : ports) {
    const json& published = port.at("dataplane");
    if (published.is_null()) continue;
    const json& counters = published.at("counters");
    table.add({text_of(port, "name"), number_of(counters, "rx_packets"), number_of(counters, "rx_bytes"),
               number_of(counters, "tx_packets"), number_of(counters, "tx_bytes"), loss_of(counters, "rx_missed"),
               loss_of(counters, "rx_no_mbuf"), loss_of(counters, "rx_errors"), loss_of(counters, "tx_errors")});
  }
  return table.to_string(look.colours);
}

}  // namespace sluice::ctl
