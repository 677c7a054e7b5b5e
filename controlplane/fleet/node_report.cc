// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/node_report.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "config/bounds.h"
#include "controlplane/base/json_fields.h"
#include "controlplane/base/printable.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr size_t kMostText = 256;   // of one word
constexpr size_t kMostFiles = 256;  // that one configuration may include

/// Shown on terminals and pages, whoever wrote it.
std::string word_from(const json& value) {
  auto out = value.get<std::string>();
  if (out.size() > kMostText) throw std::runtime_error("a text that is too long");
  return printable(std::move(out));
}

/// As many as are read; what is beyond stands as one.
std::map<std::string, std::string> bounded(const std::map<std::string, std::string>& included) {
  std::map<std::string, std::string> out;
  std::string others;
  for (const auto& [name, digest] : included) {
    if (name.size() <= kMostText && out.size() + 1 < kMostFiles) {
      out.emplace(name, digest);
    } else {
      others += fmt::format("{}={}\n", name, digest);
    }
  }
  if (!others.empty()) out.emplace("other files", digest_of(others));
  return out;
}

std::map<std::string, std::string> words_from(const json& value, size_t most) {
  if (!value.is_object() || value.size() > most) throw std::runtime_error("digests that are none");
  std::map<std::string, std::string> out;
  for (const auto& [name, digest] : value.items()) out.emplace(word_from(name), word_from(digest));
  return out;
}

/// Of every key that a node has in one of these.
std::set<std::string> keys_of(const std::vector<const NodeReport*>& nodes,
                              std::map<std::string, std::string> NodeReport::* digests) {
  std::set<std::string> out;
  for (const NodeReport* report : nodes) {
    for (const auto& [key, digest] : report->*digests) out.insert(key);
  }
  return out;
}

/// "" = it has none.
std::string digest_in(const std::map<std::string, std::string>& digests, const std::string& key) {
  const auto found = digests.find(key);
  return found == digests.end() ? "" : found->second;
}

}  // namespace

std::string to_text(const NodeReport& report) {
  return json{{"instance", report.instance},
              {"host", report.host},
              {"zone", report.zone},
              {"version", report.version},
              {"file", report.file},
              {"included", bounded(report.included)},
              {"own", report.own.substr(0, kMostText)},
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
    out.up = unsigned_in(whole, "up");
    out.down = unsigned_in(whole, "down");
    if (!whole.at("sessions").is_null()) out.sessions = unsigned_in(whole, "sessions");
    out.tables = words_from(whole.at("tables"), config::kMaxServices);
    if (whole.contains("included")) out.included = words_from(whole["included"], kMostFiles);
    if (whole.contains("own")) out.own = word_from(whole["own"]);
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
    const std::string where = zone.empty() ? "" : " in zone " + zone;
    for (const std::string& name : keys_of(nodes, &NodeReport::included)) {
      std::vector<const NodeReport*> sharing;
      std::ranges::copy_if(nodes, std::back_inserter(sharing),
                           [&](const NodeReport* each) { return each->own != name; });
      compare(sharing, name + where, [&](const NodeReport& report) { return digest_in(report.included, name); });
    }
    for (const std::string& pool : keys_of(nodes, &NodeReport::tables))
      compare(nodes, fmt::format("table of {}{}", pool, where),
              [&](const NodeReport& report) { return digest_in(report.tables, pool); });
    compare(nodes, "backends up" + where,
            [](const NodeReport& report) { return fmt::format("{}/{}", report.up, report.up + report.down); });
  }
  return out;
}

std::string digest_of(const std::string& text) {
  return fmt::format("{:016x}", XXH3_64bits(text.data(), text.size()));
}

}  // namespace sluice::control
