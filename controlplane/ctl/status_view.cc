// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/status_view.h"

#include <fmt/format.h>

#include <ctime>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>

#include "controlplane/ctl/text_table.h"

namespace sluice::ctl {

using nlohmann::json;

namespace {

std::optional<time_t> seconds_of(const std::string& text) {
  std::tm parts{};
  std::istringstream in(text);
  in >> std::get_time(&parts, "%Y-%m-%dT%H:%M:%S");
  if (in.fail()) return std::nullopt;
  return timegm(&parts);
}

std::string text_of(const json& object, const char* name) {
  return printable(object.at(name).get<std::string>());
}

/// A figure of the data plane; "-" while it is not connected.
std::string figure(const json& object, const char* name) {
  const json& figures = object.at("figures");
  return figures.is_null() ? "-" : std::to_string(figures.at(name).get<uint64_t>());
}

std::string endpoint(const std::string& address, uint16_t port) {
  return address.find(':') == std::string::npos ? fmt::format("{}:{}", address, port)
                                                : fmt::format("[{}]:{}", address, port);
}

Cell state_cell(const json& object) {
  const std::string state = text_of(object, "state");
  if (state == "up" || state == "in service") return {state, Colour::kGood};
  if (state == "down" || state == "unreachable" || state == "out of service") return {state, Colour::kBad};
  return {state, Colour::kCaution};
}

std::string or_dash(std::string text) {
  return text.empty() ? "-" : text;
}

std::string heading(const json& status) {
  const json& dataplane = status.at("dataplane");
  const std::string now = text_of(status, "time");
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

std::string services(const json& status) {
  TextTable table({"SERVICE", "VIP", "POOL", "CHECK", "STATE", ">SINCE", ">FLOWS", ">CREATED", ">REFUSED", "REASON"});
  for (const json& service : status.at("services")) {
    table.add({text_of(service, "name"), endpoint(text_of(service, "vip"), service.at("port").get<uint16_t>()),
               text_of(service, "pool"), or_dash(text_of(service, "check")), state_cell(service),
               time_between(text_of(service, "since"), text_of(status, "time")), figure(service, "flows_now"),
               figure(service, "flows_created"), figure(service, "flows_refused"), text_of(service, "reason")});
  }
  return table.to_string(status.value("colours", false));
}

std::string pools(const json& status) {
  TextTable table({"POOL", ">PORT", "CHECK", "STATE", ">SINCE", ">USABLE", ">OF", ">MIN", ">TABLE"});
  for (const json& pool : status.at("pools")) {
    table.add({text_of(pool, "name"), std::to_string(pool.at("port").get<uint16_t>()), or_dash(text_of(pool, "check")),
               state_cell(pool), time_between(text_of(pool, "since"), text_of(status, "time")),
               std::to_string(pool.at("usable").get<uint64_t>()), std::to_string(pool.at("backends").get<uint64_t>()),
               std::to_string(pool.at("min_healthy").get<uint64_t>()),
               std::to_string(pool.at("table_size").get<uint64_t>())});
  }
  return table.to_string(status.value("colours", false));
}

std::string backends(const json& status) {
  TextTable table({"BACKEND", "ADDRESS", "CHECK", "STATE", ">SINCE", ">WEIGHT", ">EFFECTIVE", ">SHARE", ">FLOWS",
                   ">CREATED", "REASON"});
  for (const json& backend : status.at("backends")) {
    const json& weight = backend.at("weight");
    table.add({fmt::format("{}/{}", text_of(backend, "pool"), text_of(backend, "name")),
               endpoint(text_of(backend, "address"), backend.at("port").get<uint16_t>()),
               or_dash(text_of(backend, "check")), state_cell(backend),
               time_between(text_of(backend, "since"), text_of(status, "time")),
               std::to_string(weight.at("configured").get<uint64_t>()),
               fmt::format("{:.4g}", weight.at("effective").get<double>()),
               fmt::format("{:.1f}%", 100 * weight.at("share").get<double>()), figure(backend, "flows_now"),
               figure(backend, "flows_created"), text_of(backend, "reason")});
  }
  return table.to_string(status.value("colours", false));
}

/// One line per counter that is not 0, a column per worker if there are several.
std::string counters(const json& status) {
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
  return "\n" + table.to_string(status.value("colours", false));
}

}  // namespace

std::string view_of_status(const json& answer, bool colours) {
  json status = answer;
  status.at("version");  // an object, that is
  status["colours"] = colours;
  return heading(status) + "\n" + services(status) + "\n" + pools(status) + "\n" + backends(status) + counters(status);
}

std::string time_between(const std::string& from, const std::string& to) {
  const auto begin = seconds_of(from);
  const auto end = seconds_of(to);
  if (!begin || !end) return "?";
  const long seconds = std::max(0L, static_cast<long>(*end - *begin));
  if (seconds < 60) return fmt::format("{}s", seconds);
  if (seconds < 3600) return fmt::format("{}m {}s", seconds / 60, seconds % 60);
  if (seconds < 86400) return fmt::format("{}h {}m", seconds / 3600, seconds / 60 % 60);
  return fmt::format("{}d {}h", seconds / 86400, seconds / 3600 % 24);
}

}  // namespace sluice::ctl
