// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/name_claim.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "controlplane/base/printable.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr size_t kMostText = 256;

}  // namespace

void NameClaim::look(const std::optional<etcd::Record>& key, const std::vector<etcd::Record>& rivals,
                     const std::string& prefix) {
  const bool is_first = revision_ == 0;
  const int64_t revision = key ? key->revision : 0;
  quiet_looks_ = std::exchange(revision_, revision) == revision ? quiet_looks_ + 1 : 0;
  state_.rival.reset();
  std::optional<Rival> owner;
  if (key) owner = author_of_report(key->value);
  state_.is_ours = !owner || owner->instance == instance_ || quiet_looks_ >= kQuietLooks;
  if (!state_.is_ours) {
    if (!is_first && quiet_looks_ == 0) lives_ = owner;  // it was put anew between two looks
    if (lives_ && lives_->instance == owner->instance) state_.rival = owner;
    return;
  }
  lives_.reset();
  for (const etcd::Record& record : rivals) {
    const std::string name = record.key.substr(std::min(prefix.size(), record.key.size()));
    if (name == instance_) continue;
    state_.rival = author_of_report(record.value);
    return;
  }
}

Rival author_of_report(const std::string& text) {
  const json said = json::parse(text, nullptr, false);
  const auto word = [&](const char* name) -> std::string {
    if (!said.is_object() || !said.contains(name) || !said[name].is_string()) return "";
    return printable(said[name].get<std::string>().substr(0, kMostText));
  };
  return {word("instance"), word("host")};
}

}  // namespace sluice::control
