// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/kept_state.h"

#include <fmt/format.h>

#include <filesystem>

#include "controlplane/base/state_file.h"

namespace sluice::control {

std::string keep_state(Journal& journal, const std::string& path, std::string_view text) {
  const auto made = make_state_directory(std::filesystem::path(path).parent_path().string());
  const auto saved = made ? save_state(path, text) : made;
  if (saved) return "";
  journal.record(Severity::kError, "control", "state", saved.error());
  return "in effect, but gone with the next start of control: " + saved.error();
}

std::optional<std::string> kept_text(Journal& journal, const std::string& path) {
  auto text = read_state(path);
  if (text) return std::move(*text);
  journal.record(Severity::kError, "control", "state", text.error());
  return std::nullopt;
}

void set_kept_aside(Journal& journal, const std::string& path, const std::string& why, std::string_view meaning) {
  journal.record(Severity::kError, "control", "state",
                 fmt::format("{}: {} makes no sense ({}); it is now {}", meaning, path, why, set_aside(path)));
}

}  // namespace sluice::control
