// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/etcd_identity.h"

#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "controlplane/base/json_fields.h"
#include "controlplane/base/kept_state.h"

namespace sluice::control {

using nlohmann::json;
using namespace std::chrono_literals;

namespace {

constexpr int kVersion = 1;
constexpr auto kSaveEvery = 60s;  // a revision alone is worth no disk write a second
constexpr std::string_view kAdvice = "; if that is right: sluicectl fleet accept";

struct Kept {
  etcd::Position known;
  bool was_set_back = false;
};

std::expected<Kept, std::string> kept_from(const std::string& text) {
  try {
    const json whole = json::parse(text);
    require_version(whole, kVersion);
    return Kept{{unsigned_in(whole, "cluster"), whole_in(whole, "revision", 0, INT64_MAX)},
                whole.value("set_back", false)};
  } catch (const std::exception& fault) {
    return std::unexpected(fault.what());
  }
}

}  // namespace

EtcdIdentity::EtcdIdentity(Journal& journal, std::string path) : journal_(journal), path_(std::move(path)) {}

void EtcdIdentity::restore() {
  const auto kept = kept_state(journal_, path_, kept_from, "which cluster of etcd is ours is not known any more");
  if (!kept) return;
  known_ = kept->known;
  was_set_back_ = kept->was_set_back;
}

std::string EtcdIdentity::judge(const etcd::Position& answer, const Asked& asked) {
  const bool is_another = known_ && known_->cluster != answer.cluster;
  const bool is_older = asked.acceptances == acceptances_ && answer.revision < asked.revision;
  if (!is_another && is_older && !std::exchange(was_set_back_, true)) (void)save();
  if (is_another || was_set_back_) refused_ = answer;
  if (is_another)
    return fmt::format("etcd answers as cluster {:x}, and ours is {:x}{}", answer.cluster, known_->cluster, kAdvice);
  if (was_set_back_) return fmt::format("etcd was set back: it was at revision {} before{}", known_->revision, kAdvice);
  refused_.reset();
  const bool is_first = !known_;
  if (is_first || answer.revision > known_->revision) known_ = answer;
  const SystemTime now = journal_.now();
  if (is_first || now < saved_ || now - saved_ >= kSaveEvery) (void)save();
  return "";
}

std::expected<std::string, std::string> EtcdIdentity::accept() {
  if (!refused_) return std::unexpected("no answer of etcd is refused");
  known_ = std::exchange(refused_, std::nullopt);
  was_set_back_ = false;
  acceptances_++;
  journal_.record(Severity::kInfo, "fleet", "etcd",
                  fmt::format("accepted by hand: cluster {:x} from revision {} on", known_->cluster, known_->revision));
  return save();
}

void EtcdIdentity::write_down() {
  if (known_) (void)save();
}

std::string EtcdIdentity::save() {
  saved_ = journal_.now();
  const json text{
      {"version", kVersion}, {"cluster", known_->cluster}, {"revision", known_->revision}, {"set_back", was_set_back_}};
  return keep_state(journal_, path_, text.dump(2) + "\n");
}

}  // namespace sluice::control
