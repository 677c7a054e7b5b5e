// SPDX-License-Identifier: Apache-2.0
//
// State that operators count on, in files of the state directory: kept with a warning for whoever changes it, and read
// back by the next process.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "controlplane/base/journal.h"

namespace sluice::control {

/// Puts `text` into the file at `path`, whose directory is made if it is gone. The value is a warning ("" normally):
/// what was changed is in effect, but not on the disk. The journal has it too.
std::string keep_state(Journal& journal, const std::string& path, std::string_view text);

/// The text of the file at `path`; nothing if there is none, or if it cannot be read, which the journal says.
std::optional<std::string> kept_text(Journal& journal, const std::string& path);

/// Moves a file that makes no sense out of the way. The journal says why, and what that means: "changes are lost".
void set_kept_aside(Journal& journal, const std::string& path, const std::string& why, std::string_view meaning);

/// What `parse` makes of the file at `path`, of an expected with a text for an error; nothing if there is none. One
/// that makes no sense is set aside.
template <typename Parse>
auto kept_state(Journal& journal, const std::string& path, Parse parse, std::string_view meaning)
    -> std::optional<typename decltype(parse(std::string()))::value_type> {
  const auto text = kept_text(journal, path);
  if (!text) return std::nullopt;
  auto parsed = parse(*text);
  if (parsed) return std::move(*parsed);
  set_kept_aside(journal, path, parsed.error(), meaning);
  return std::nullopt;
}

}  // namespace sluice::control
