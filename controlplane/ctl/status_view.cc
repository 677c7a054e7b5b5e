// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/status_view.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "controlplane/ctl/tables.h"
#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

std::string heading(const json& status, const std::string& now) {
  const json& dataplane = status.at("dataplane");
  std::string out = fmt::format("sluice {}, instance {}, control up {}\n", text_of(status, "version"),
                                text_of(status, "instance"), time_between(text_of(status, "started"), now));
  const std::string since = time_between(text_of(dataplane, "since"), now);
  if (!dataplane.at("connected").get<bool>()) {
    return out + fmt::format("data plane: NOT CONNECTED for {}: {}\n", since, text_of(dataplane, "reason"));
  }
  out += fmt::format("data plane: connected for {}, process {}, up {}", since, dataplane.at("pid").get<uint32_t>(),
                     time_between(text_of(dataplane, "started"), now));
  if (!dataplane.at("last_push_us").is_null()) {
    out += fmt::format("; last change in use after {} us", dataplane.at("last_push_us").get<uint64_t>());
  }
  return out + (dataplane.at("settled").get<bool>() ? "\n" : "; a change is under way\n");
}

/// "" unless the block file is not as it should be.
std::string block_file_fault(const json& status) {
  if (!status.contains("blocked") || status.at("blocked").is_null()) return "";
  const auto fault = status.at("blocked").at("file").at("fault").get<std::string>();
  return fault.empty() ? "" : "block file: REFUSED, the last good one stays: " + printable(fault) + "\n";
}

/// Who routes the mail servers' own traffic; "" of a control that does not say.
std::string server_routing(const json& status) {
  const json routing = status.value("server_routing", json(nullptr));
  if (routing.is_null()) return "";
  const auto who = [&](const char* family) {
    const auto reason = routing.at(family).at("reason").get<std::string>();
    return reason.empty() ? std::string("by the workers") : "by the kernel, as " + printable(reason);
  };
  const std::string v4 = who("ipv4"), v6 = who("ipv6");
  std::string out = "mail servers' own traffic: " + (v4 == v6 ? v4 : "IPv4 " + v4 + "; IPv6 " + v6);
  const auto number = [&](const char* name) { return routing.at(name).get<uint64_t>(); };
  if (number("routes") + number("hosts") != 0)
    out += fmt::format(" ({} routes, {} hosts)", number("routes"), number("hosts"));
  if (number("left") != 0)
    out += fmt::format("; {} {} with the kernel, {}", number("left"),
                       number("left") == 1 ? "route stays" : "routes stay", printable(text_of(routing, "left_first")));
  return out + "\n";
}

/// One line per counter that is not 0, a column per worker if there are several.
std::string counters(const json& status, const Look& look) {
  if (status.at("counters").is_null()) return "";
  const json& workers = status.at("workers");
  std::vector<std::string> columns{"COUNTER", ">ALL"};
  for (const json& worker : workers) {
    if (workers.size() > 1) columns.push_back(fmt::format(">WORKER {}", worker.at("worker").get<uint32_t>()));
  }
  TextTable table(std::move(columns));
  for (const auto& [name, value] : status.at("counters").items()) {
    if (value.get<uint64_t>() == 0) continue;
    std::vector<Cell> row{Cell(name, name.starts_with("drop_") ? Colour::kCaution : Colour::kNone),
                          std::to_string(value.get<uint64_t>())};
    for (const json& worker : workers) {
      if (workers.size() > 1) row.emplace_back(std::to_string(worker.at("counters").at(name).get<uint64_t>()));
    }
    table.add(std::move(row));
  }
  return "\n" + table.to_string(look.colours);
}

std::string removed_services(const json& services, const Look& look) {
  return services.empty() ? "" : removed_services_table(services, look) + "\n";
}

}  // namespace

std::string view_of_status(const json& status, bool colours) {
  const Look look{text_of(status, "time"), colours, true};
  return heading(status, look.now) + block_file_fault(status) + self_faults(status.value("fleet", json(nullptr))) +
         server_routing(status) + "\n" + ports_table(status.at("ports"), look) + "\n" +
         services_table(status.at("services"), look) + "\n" + removed_services(status.at("removed_services"), look) +
         pools_table(status.at("pools"), look) + "\n" + backends_table(status.at("backends"), look) +
         counters(status, look);
}

}  // namespace sluice::ctl
