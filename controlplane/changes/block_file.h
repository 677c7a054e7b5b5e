// SPDX-License-Identifier: Apache-2.0
//
// The file of blocked prefixes: one a line, IPv4 or IPv6, comments from "#" on. It is taken whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"

namespace sluice::control {

inline constexpr size_t kMaxFilePrefixes = 1'000'000;

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
std::expected<std::string, std::string> read_block_file(const std::string& path);

/// The prefixes in `text`; the error is the first that is wrong with it: "PATH:LINE: ...".
std::expected<std::vector<config::IpPrefix>, std::string> block_list_from(std::string_view text,
                                                                          const std::string& path);

}  // namespace sluice::control
