// SPDX-License-Identifier: Apache-2.0
//
// What control keeps on disk for the process after it: its journal, and what drains and was renamed.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <utility>

#include "controlplane/base/kept_state.h"
#include "controlplane/base/state_file.h"
#include "controlplane/changes/standing.h"
#include "controlplane/process/controller.h"

namespace sluice::control {

void Controller::keep_journal() {
  const auto made = make_state_directory(config_.control.state);
  auto earlier = made ? journal_file_.open() : std::unexpected(made.error());
  if (!earlier) {
    journal_.record(Severity::kWarning, "control", "state",
                    "neither events nor changes by hand will outlive this process: " + earlier.error());
    return;
  }
  journal_.restore(std::move(*earlier), [this](const JournalEntry& entry) {
    const std::string fault = journal_file_.append(entry, journal_.entries());
    if (!fault.empty()) spdlog::error("{}", fault);
  });
}

void Controller::recall() {
  const auto before = kept_state(
      journal_, standing_path(), [this](std::string_view text) { return standing_from(text, journal_); },
      "what drains and what was renamed is known from the data plane alone");
  if (before) {
    give_up(*before);
    model_.take_over(*before);
  }
  remember();
}

void Controller::remember() {
  if (const auto saved = save_state(standing_path(), standing_text(model_)); !saved) {
    journal_.record(Severity::kWarning, "control", "state", saved.error());
    // By one that is out of date the next process would cut sessions; without, it asks the data plane.
    (void)unlink(standing_path().c_str());
  }
}

std::string Controller::standing_path() const {
  return config_.control.state + "/standing.json";
}

void Controller::give_up(const Model& before) {
  if (has_met_) return;
  for (const Member& member : before.members()) given_up_.insert(member.key);
  for (const ServiceState& service : before.services()) given_up_.insert(service.key);
  for (const RemovedService& service : before.removed_services()) given_up_.insert(service.key);
}

}  // namespace sluice::control
