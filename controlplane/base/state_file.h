// SPDX-License-Identifier: Apache-2.0
//
// Files that outlive control. A file is replaced whole: written beside itself, synced, renamed, and the directory
// synced, so that after a crash at any point it holds either the old text or the new one.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::control {

/// Makes `directory` (mode 0750) and what leads to it. The error says what is wrong.
std::expected<void, std::string> make_state_directory(const std::string& directory);

/// Replaces the file at `path` by `text`, mode 0640. When it returns, the text is on the disk.
std::expected<void, std::string> save_state(const std::string& path, std::string_view text);

/// The text of the file at `path`; nothing if there is none. At most 64 MiB.
std::expected<std::optional<std::string>, std::string> read_state(const std::string& path);

/// Moves a file that makes no sense out of the way, to `path`.unreadable, over an earlier one there. Returns that name.
std::string set_aside(const std::string& path);

}  // namespace sluice::control
