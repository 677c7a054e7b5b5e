// SPDX-License-Identifier: Apache-2.0
#include "controlplane/process/node_facts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <utility>

#include "controlplane/base/watched_file.h"
#include "controlplane/figures/figures.h"

namespace sluice::control {

namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unnamed";
}

}  // namespace

std::string node_name(const config::Fleet& fleet) {
  return fleet.node.empty() ? host_name() : fleet.node;
}

FileDigests file_digests(const std::string& path, const config::Files& files) {
  FileDigests out;
  const auto text = read_regular_file(path);
  if (text) out.file = digest_of(*text);
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  for (const std::string& file : files.all) {
    const auto included = read_regular_file(file);
    if (file == path || !included) continue;
    std::string name = std::filesystem::path(file).lexically_relative(directory).string();
    if (file == files.with_setting) {
      out.own = std::move(name);
    } else {
      out.included.emplace(std::move(name), digest_of(*included));
    }
  }
  return out;
}

NodeReport node_facts(const config::Config& config, const Model& model, const ChannelClient& channel,
                      const FileDigests& files, SystemTime now) {
  NodeReport out{.node = node_name(config.fleet),
                 .instance = "",
                 .host = host_name(),
                 .zone = config.fleet.zone,
                 .version = SLUICE_VERSION,
                 .file = files.file,
                 .included = files.included,
                 .own = files.own,
                 .time = to_rfc3339(now),
                 .up = 0,
                 .down = 0,
                 .sessions = std::nullopt,
                 .tables = {}};
  for (const Member& member : model.members()) {
    if (!member.removal) (member.is_usable() ? out.up : out.down)++;
  }
  for (const ServiceState& service : model.services()) {
    if (const auto figures = figures_of(channel, service))
      out.sessions = out.sessions.value_or(0) + figures->flows.flows_now;
  }
  for (const Placement& placement : model.placements())
    out.tables.emplace(placement.label(), fmt::format("{:016x}", placement.table->digest));
  return out;
}

}  // namespace sluice::control
