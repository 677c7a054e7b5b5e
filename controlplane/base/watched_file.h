// SPDX-License-Identifier: Apache-2.0
//
// Files that others write and control reads again when they are others.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>

namespace sluice::control {

/// By which a file that was replaced or written to is told from what it was.
struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t bytes = 0;
  int64_t modified_ns = 0;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

/// Nothing if there is no such file.
std::optional<FileStamp> stamp_of(const std::string& path);

/// The text of a regular file of at most 64 MiB. The error says what is wrong, with the path.
std::expected<std::string, std::string> read_regular_file(const std::string& path);

}  // namespace sluice::control
