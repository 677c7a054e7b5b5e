// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/node_report.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "config/bounds.h"
#include "controlplane/base/printable.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr size_t kMostText = 256;  // of one word

/// Shown on terminals and pages, whoever wrote it.
std::string word_from(const json& value) {
  auto out = value.get<std::string>();
  if (out.size() > kMostText) throw std::runtime_error("a text that is too long");
  return printable(std::move(out));
}

}  // namespace

std::string to_text(const NodeReport& report) {
  return json{{"instance", report.instance},
              {"host", report.host},
              {"zone", report.zone},
              {"version", report.version},
              {"file", report.file},
              {"time", report.time},
              {"up", report.up},
              {"down", report.down},
              {"sessions", report.sessions ? json(*report.sessions) : json(nullptr)},
              {"tables", report.tables}}
      .dump();
}

std::expected<NodeReport, std::string> report_from(const etcd::Record& record, const std::string& prefix) {
  const std::string name = word_from(record.key.substr(0, kMostText));
  try {
    NodeReport out;
    out.node = word_from(record.key.substr(std::min(prefix.size(), record.key.size())));
    const json whole = json::parse(record.value);
    if (whole.contains("instance")) out.instance = word_from(whole["instance"]);
    if (whole.contains("host")) out.host = word_from(whole["host"]);
    out.zone = word_from(whole.at("zone"));
    out.version = word_from(whole.at("version"));
    out.file = word_from(whole.at("file"));
    out.time = word_from(whole.at("time"));
    out.up = whole.at("up").get<uint64_t>();
    out.down = whole.at("down").get<uint64_t>();
    if (const json& sessions = whole.at("sessions"); !sessions.is_null()) out.sessions = sessions.get<uint64_t>();
    const json& tables = whole.at("tables");
    if (!tables.is_object() || tables.size() > config::kMaxServices) throw std::runtime_error("tables that are none");
    for (const auto& [pool, digest] : tables.items()) out.tables.emplace(word_from(pool), word_from(digest));
    return out;
  } catch (const std::exception&) {
    return std::unexpected(name + ": is not what a node says of itself");
  }
}

std::vector<Difference> differences(const std::vector<NodeReport>& reports) {
  std::vector<Difference> out;
  std::vector<const NodeReport*> all;
  std::map<std::string, std::vector<const NodeReport*>> zones;
  for (const NodeReport& report : reports) {
    all.push_back(&report);
    zones[report.zone].push_back(&report);
  }
  const auto compare = [&](const std::vector<const NodeReport*>& nodes, std::string what, auto value_of) {
    Difference found{std::move(what), {}};
    for (const NodeReport* report : nodes) found.who[value_of(*report)].push_back(report->node);
    if (found.who.size() > 1) out.push_back(std::move(found));
  };
  compare(all, "version", [](const NodeReport& report) { return report.version; });
  compare(all, "file", [](const NodeReport& report) { return report.file; });
  for (const auto& [zone, nodes] : zones) {
    std::set<std::string> pools;
    for (const NodeReport* report : nodes) {
      for (const auto& [pool, digest] : report->tables) pools.insert(pool);
    }
    for (const std::string& pool : pools) {
      const std::string where = zone.empty() ? "" : " in zone " + zone;
      compare(nodes, fmt::format("table of {}{}", pool, where), [&](const NodeReport& report) {
        const auto found = report.tables.find(pool);
        return found == report.tables.end() ? std::string() : found->second;
      });
    }
  }
  return out;
}

std::string digest_of(const std::string& text) {
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

}  // namespace sluice::control
