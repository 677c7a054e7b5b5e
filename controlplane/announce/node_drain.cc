// SPDX-License-Identifier: Apache-2.0
#include "controlplane/announce/node_drain.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "controlplane/base/json_fields.h"
#include "controlplane/base/kept_state.h"
#include "controlplane/model/leaving.h"

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr int kVersion = 1;

std::string to_text(const std::optional<NodeDrain::Wish>& wish) {
  json out{{"version", kVersion}};
  if (wish) out["draining_since_ms"] = to_ms(wish->since);
  if (wish && wish->deadline) out["deadline_ms"] = to_ms(*wish->deadline);
  return out.dump(2) + "\n";
}

std::expected<std::optional<NodeDrain::Wish>, std::string> wish_from(const std::string& text) {
  try {
    const json whole = json::parse(text);
    require_version(whole, kVersion);
    if (!whole.contains("draining_since_ms")) return std::nullopt;
    NodeDrain::Wish out{time_in(whole, "draining_since_ms"), {}};
    if (whole.contains("deadline_ms")) out.deadline = time_in(whole, "deadline_ms");
    return out;
  } catch (const std::exception& fault) {
    return std::unexpected(fault.what());
  }
}

std::string event_of(NodeDrain::Phase phase, const std::optional<NodeDrain::Flows>& flows) {
  switch (phase) {
    case NodeDrain::Phase::kServing:
    case NodeDrain::Phase::kDraining:
      return "drains: new sessions come still";
    case NodeDrain::Phase::kQuiet:
      return fmt::format("drains: new sessions have ceased, {} are open", flows ? flows->open : 0);
    case NodeDrain::Phase::kEmpty:
      return "drains: no session is left";
    case NodeDrain::Phase::kOut:
      break;
  }
  return "drained: the deadline is over, its VIPs are withdrawn";
}

}  // namespace

std::string_view name_of(NodeDrain::Phase phase) {
  switch (phase) {
    case NodeDrain::Phase::kServing:
      return "serving";
    case NodeDrain::Phase::kDraining:
      return "draining";
    case NodeDrain::Phase::kQuiet:
      return "quiet";
    case NodeDrain::Phase::kEmpty:
      return "empty";
    case NodeDrain::Phase::kOut:
      break;
  }
  return "out";
}

NodeDrain::NodeDrain(Journal& journal, const std::string& state_directory)
    : journal_(journal), path_(state_directory + "/node.json") {}

void NodeDrain::restore() {
  last_new_ = journal_.now();
  const auto wish = kept_state(journal_, path_, wish_from, "whether this node drains is not known any more, it serves");
  if (!wish) return;
  wish_ = *wish;
  is_absolute_ = true;
  phase_ = next_phase(last_new_);
}

std::expected<std::string, std::string> NodeDrain::drain(std::optional<std::chrono::seconds> deadline) {
  const SystemTime now = journal_.now();
  if (!wish_) {
    wish_ = Wish{now, {}};
    last_new_ = now;
  }
  is_absolute_ = false;
  wish_->deadline.reset();
  if (deadline) wish_->deadline = now + *deadline;
  std::string warning = save();
  journal_.record(Severity::kInfo, "node", "drain",
                  wish_->deadline ? "by hand, VIPs are withdrawn at " + to_rfc3339(*wish_->deadline) : "by hand");
  phase_ = next_phase(now);
  return warning;
}

std::expected<std::string, std::string> NodeDrain::undrain() {
  if (!wish_) return std::unexpected("this node does not drain");
  wish_.reset();
  phase_ = Phase::kServing;
  std::string warning = save();
  journal_.record(Severity::kInfo, "node", "undrain", "by hand");
  return warning;
}

bool NodeDrain::tick(std::optional<Flows> flows) {
  const SystemTime now = journal_.now();
  if (!flows || !flows_ || flows->created != flows_->created) last_new_ = now;
  flows_ = flows;
  const Phase next = next_phase(now);
  if (std::exchange(phase_, next) == next) return false;
  journal_.record(Severity::kInfo, "node", "drain", event_of(next, flows_));
  return true;
}

void NodeDrain::move_times(SystemTime::duration by) {
  last_new_ += by;
  if (!wish_ || is_absolute_) return;
  wish_->since += by;
  if (wish_->deadline) *wish_->deadline += by;
  save();
}

bool NodeDrain::leaves() const {
  return wish_ && wish_->deadline && journal_.now() >= leaving_from(wish_->since, *wish_->deadline);
}

NodeDrain::Phase NodeDrain::next_phase(SystemTime now) const {
  if (!wish_) return Phase::kServing;
  if (wish_->deadline && *wish_->deadline <= now) return Phase::kOut;
  if (!flows_ || now - last_new_ < kQuiet) return Phase::kDraining;
  return flows_->open == 0 ? Phase::kEmpty : Phase::kQuiet;
}

std::string NodeDrain::save() {
  return keep_state(journal_, path_, to_text(wish_));
}

}  // namespace sluice::control
