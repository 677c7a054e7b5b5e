// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>
#include <iomanip>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <vector>

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

std::string or_dash(const std::string& text) {
  return text.empty() ? "-" : text;
}

std::string count_of(const json& object, const char* name) {
  return std::to_string(object.at(name).get<uint64_t>());
}

/// A figure of the data plane; "-" while it is not connected.
std::string figure(const json& object, const char* name) {
  const json& figures = object.at("figures");
  return figures.is_null() ? "-" : count_of(figures, name);
}

/// A rate of the last second; "-" where there is none yet.
std::string rate(const json& object, const char* name) {
  const json& rates = object.at("rates");
  return rates.is_null() ? "-" : short_number(rates.at(name));
}

std::string endpoint(const std::string& address, uint16_t port) {
  return address.find(':') == std::string::npos ? fmt::format("{}:{}", address, port)
                                                : fmt::format("[{}]:{}", address, port);
}

std::string backend_name(const json& backend) {
  return fmt::format("{}/{}", text_of(backend, "pool"), text_of(backend, "name"));
}

Cell state_cell(const json& object) {
  const std::string state = text_of(object, "state");
  if (state == "up" || state == "in service") return {state, Colour::kGood};
  if (state == "down" || state == "held" || state == "unreachable" || state == "out of service")
    return {state, Colour::kBad};
  return {state, Colour::kCaution};
}

std::string since(const json& object, const Look& look) {
  return time_between(text_of(object, "since"), look.now);
}

/// A factor as a share; what takes something away stands out.
Cell factor_cell(const json& factor) {
  const double value = factor.at("value").get<double>();
  return {fmt::format("{:.4g}", value), value < 1 ? Colour::kCaution : Colour::kNone};
}

/// The factor of that name; "-" if there is none.
Cell factor_cell(const json& factors, const std::string& name) {
  for (const json& factor : factors)
    if (text_of(factor, "name") == name) return factor_cell(factor);
  return {"-"};
}

/// Names of all weight factors that some backend has, in the order in which control tells them.
std::vector<std::string> factor_names(const json& backends) {
  std::vector<std::string> out;
  for (const json& backend : backends) {
    for (const json& factor : backend.at("weight").at("factors")) {
      const std::string name = text_of(factor, "name");
      if (std::ranges::find(out, name) == out.end()) out.push_back(name);
    }
  }
  return out;
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

/// A configured weight, and beside it the one that an operator has set.
std::string configured_weight(const json& weight) {
  const json& by_hand = weight.at("by_hand");
  const std::string configured = count_of(weight, "configured");
  return by_hand.is_null() ? configured : fmt::format("{} ({} by hand)", configured, by_hand.get<uint64_t>());
}

void add_counters(TextTable& table, const std::string& name, const json& node) {
  if (node.is_object()) {
    for (const auto& [key, child] : node.items()) add_counters(table, name + " " + printable(key), child);
  } else if (node.get<uint64_t>() != 0) {
    table.add({name, std::to_string(node.get<uint64_t>())});
  }
}

}  // namespace

std::string services_table(const json& services, const Look& look) {
  TextTable table(
      {"SERVICE", "VIP", "POOL", "CHECK", "STATE", ">SINCE", ">FLOWS", ">CREATED", ">REFUSED", ">NEW/S", "REASON"});
  for (const json& service : services) {
    table.add({text_of(service, "name"), endpoint(text_of(service, "vip"), service.at("port").get<uint16_t>()),
               text_of(service, "pool"), or_dash(text_of(service, "check")), state_cell(service), since(service, look),
               figure(service, "flows_now"), figure(service, "flows_created"), figure(service, "flows_refused"),
               rate(service, "new_flows_per_s"), text_of(service, "reason")});
  }
  return table.to_string(look.colours);
}

std::string removed_services_table(const json& services, const Look& look) {
  TextTable table({"REMOVED SERVICE", "VIP", "STATE", ">SINCE", ">FLOWS", "REASON"});
  for (const json& service : services) {
    table.add({text_of(service, "name"), endpoint(text_of(service, "vip"), service.at("port").get<uint16_t>()),
               state_cell(service), since(service, look), figure(service, "flows_now"), text_of(service, "reason")});
  }
  return table.to_string(look.colours);
}

constexpr size_t kShownDigits = 8;  // of a digest: enough to see that two differ

std::string pools_table(const json& pools, const Look& look) {
  TextTable table(
      {"POOL", ">PORT", "CHECK", "STATE", ">SINCE", ">USABLE", ">OF", ">MIN", ">TABLE", "DIGEST", ">FLOWS", ">NEW/S"});
  for (const json& pool : pools) {
    table.add({text_of(pool, "name"), count_of(pool, "port"), or_dash(text_of(pool, "check")), state_cell(pool),
               since(pool, look), count_of(pool, "usable"), count_of(pool, "backends"), count_of(pool, "min_healthy"),
               count_of(pool, "table_size"), text_of(pool, "table_digest").substr(0, kShownDigits),
               rate(pool, "flows_now"), rate(pool, "new_flows_per_s")});
  }
  return table.to_string(look.colours);
}

std::string backends_table(const json& backends, const Look& look) {
  const std::vector<std::string> factors = look.brief ? std::vector<std::string>{} : factor_names(backends);
  std::vector<std::string> columns{"BACKEND", "ADDRESS", "CHECK", "STATE", ">SINCE", ">WEIGHT"};
  for (const std::string& name : factors) columns.push_back(">" + upper(name));
  for (const char* name : {">EFFECTIVE", ">SHARE", ">FLOWS", ">CREATED", ">NEW/S", "REASON"})
    columns.emplace_back(name);
  TextTable table(std::move(columns));
  for (const json& backend : backends) {
    const json& weight = backend.at("weight");
    std::vector<Cell> row{backend_name(backend),
                          endpoint(text_of(backend, "address"), backend.at("port").get<uint16_t>()),
                          or_dash(text_of(backend, "check")),
                          state_cell(backend),
                          since(backend, look),
                          configured_weight(weight)};
    for (const std::string& name : factors) row.push_back(factor_cell(weight.at("factors"), name));
    row.insert(row.end(),
               {fmt::format("{:.4g}", weight.at("effective").get<double>()),
                fmt::format("{:.1f}%", 100 * weight.at("share").get<double>()), figure(backend, "flows_now"),
                figure(backend, "flows_created"), rate(backend, "new_flows_per_s"), text_of(backend, "reason")});
    table.add(std::move(row));
  }
  return table.to_string(look.colours);
}

std::string events_table(const json& events, const Look& look) {
  TextTable table({"TIME", "SEVERITY", "KIND", "SUBJECT", "WHAT HAPPENED"});
  for (const json& event : events) {
    const std::string severity = text_of(event, "severity");
    const Colour colour = severity == "error" ? Colour::kBad : severity == "warning" ? Colour::kCaution : Colour::kNone;
    table.add({text_of(event, "time"),
               {severity, colour},
               text_of(event, "kind"),
               text_of(event, "subject"),
               text_of(event, "text")});
  }
  return table.to_string(look.colours);
}

std::string rates_table(const std::string& name, const json& subjects, const Look& look) {
  constexpr std::array<std::pair<const char*, const char*>, 13> kColumns{{{">FLOWS", "flows_now"},
                                                                          {">NEW/S", "new_flows_per_s"},
                                                                          {">EST/S", "established_per_s"},
                                                                          {">IN B/S", "bytes_in_per_s"},
                                                                          {">OUT B/S", "bytes_out_per_s"},
                                                                          {">P50 MS", "greeting_p50_ms"},
                                                                          {">P95 MS", "greeting_p95_ms"},
                                                                          {">2XX/S", "greetings_2xx_per_s"},
                                                                          {">4XX/S", "greetings_4xx_per_s"},
                                                                          {">5XX/S", "greetings_5xx_per_s"},
                                                                          {">R4XX/S", "replies_4xx_per_s"},
                                                                          {">R5XX/S", "replies_5xx_per_s"},
                                                                          {">MSG/S", "messages_per_s"}}};
  std::vector<std::string> columns{name, ">PORT", "STATE"};
  for (const auto& [title, figure] : kColumns) columns.emplace_back(title);
  TextTable table(std::move(columns));
  for (const json& subject : subjects) {
    std::vector<Cell> row{subject.contains("weight") ? backend_name(subject) : text_of(subject, "name"),
                          count_of(subject, "port"), state_cell(subject)};
    for (const auto& [title, figure] : kColumns) row.emplace_back(rate(subject, figure));
    table.add(std::move(row));
  }
  return table.to_string(look.colours);
}

std::string factors_table(const json& factors, const Look& look) {
  TextTable table({"FACTOR", ">VALUE", "REASON"});
  for (const json& factor : factors)
    table.add({text_of(factor, "name"), factor_cell(factor), text_of(factor, "reason")});
  return table.to_string(look.colours);
}

std::string observation_table(const json& observation, const Look& look) {
  if (observation.is_null()) return "";
  TextTable counters({"SEEN OF SMTP", ">COUNT"});
  TextTable times({"TIME IN MS", ">COUNT", ">P50", ">P95", ">P99"});
  for (const auto& [name, family] : observation.items()) {
    if (!name.ends_with("_time")) {
      add_counters(counters, printable(name), family);
      continue;
    }
    times.add({printable(name), count_of(family, "count"), short_number(family.at("p50_ms")),
               short_number(family.at("p95_ms")), short_number(family.at("p99_ms"))});
  }
  return counters.to_string(look.colours) + "\n" + times.to_string(look.colours);
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

std::string short_number(const json& value) {
  if (value.is_null()) return "-";
  double number = value.get<double>();
  constexpr std::array<const char*, 5> kUnits{"", "k", "M", "G", "T"};
  size_t unit = 0;
  for (; number >= 999.5 && unit + 1 < kUnits.size(); unit++) number /= 1000;
  return fmt::format("{:.3g}{}", number, kUnits[unit]);
}

std::string text_of(const json& object, const char* name) {
  return printable(object.at(name).get<std::string>());
}

namespace {

std::string name_fault(const json& self) {
  if (self.at("rival").is_null()) return "";
  const std::string host = text_of(self.at("rival"), "host");
  return printable(fmt::format("fleet: ANOTHER NODE is called {}, too{}{}; {} is what the others see",
                               text_of(self, "node"), host.empty() ? "" : ", at ", host,
                               self.at("shown").get<bool>() ? "this one" : "that one")) +
         "\n";
}

std::string write_fault(const json& self) {
  const std::string words = text_of(self, "write_fault");
  return words.empty() ? "" : "fleet: etcd TAKES NOTHING THAT IS WRITTEN: " + printable(words) + "\n";
}

}  // namespace

std::string self_faults(const json& self) {
  return self.is_null() ? "" : name_fault(self) + write_fault(self);
}

}  // namespace sluice::ctl
