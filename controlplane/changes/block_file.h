// SPDX-License-Identifier: Apache-2.0
//
// The file of blocked prefixes: one a line, IPv4 or IPv6, comments from "#" on. It is taken whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"

namespace sluice::control {

inline constexpr size_t kMaxFilePrefixes = 1'000'000;

/// The prefixes in `text`; the error is the first that is wrong with it: "PATH:LINE: ...".
std::expected<std::vector<config::IpPrefix>, std::string> block_list_from(std::string_view text,
                                                                          const std::string& path);

}  // namespace sluice::control
