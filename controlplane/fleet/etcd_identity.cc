// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/etcd_identity.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "controlplane/base/kept_state.h"

namespace sluice::control {

using nlohmann::json;
using namespace std::chrono_literals;

namespace {

constexpr int kVersion = 1;
constexpr auto kSaveEvery = 60s;  // a revision alone is worth no disk write a second
constexpr std::string_view kAdvice = "; if that is right: sluicectl fleet accept";

std::expected<etcd::Position, std::string> position_from(const std::string& text) {
  try {
    const json whole = json::parse(text);
    if (const int version = whole.at("version").get<int>(); version != kVersion)
      return std::unexpected(fmt::format("it is of version {}, this program knows version {}", version, kVersion));
    return etcd::Position{whole.at("cluster").get<uint64_t>(), whole.at("revision").get<int64_t>()};
  } catch (const std::exception& fault) {
    return std::unexpected(fault.what());
  }
}

}  // namespace

EtcdIdentity::EtcdIdentity(Journal& journal, std::string path) : journal_(journal), path_(std::move(path)) {}

void EtcdIdentity::restore() {
  known_ = kept_state(journal_, path_, position_from, "which cluster of etcd is ours is not known any more");
}

std::string EtcdIdentity::judge(const etcd::Position& answer) {
  refused_ = answer;
  if (known_ && known_->cluster != answer.cluster)
    return fmt::format("etcd answers as cluster {:x}, and ours is {:x}{}", answer.cluster, known_->cluster, kAdvice);
  if (known_ && answer.revision < known_->revision)
    return fmt::format("etcd was set back: it was at revision {} before{}", known_->revision, kAdvice);
  refused_.reset();
  (void)remember(answer);
  return "";
}

std::expected<std::string, std::string> EtcdIdentity::accept() {
  if (!refused_) return std::unexpected("no answer of etcd is refused");
  known_.reset();
  const etcd::Position accepted = *std::exchange(refused_, std::nullopt);
  journal_.record(
      Severity::kInfo, "fleet", "etcd",
      fmt::format("accepted by hand: cluster {:x} from revision {} on", accepted.cluster, accepted.revision));
  return remember(accepted);
}

std::string EtcdIdentity::remember(const etcd::Position& answer) {
  const bool is_another = !known_ || known_->cluster != answer.cluster;
  known_ = answer;
  const SystemTime now = journal_.now();
  if (!is_another && now >= saved_ && now - saved_ < kSaveEvery) return "";
  saved_ = now;
  const json text{{"version", kVersion}, {"cluster", answer.cluster}, {"revision", answer.revision}};
  return keep_state(journal_, path_, text.dump(2) + "\n");
}

}  // namespace sluice::control
