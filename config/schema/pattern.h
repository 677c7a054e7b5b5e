// SPDX-License-Identifier: Apache-2.0
//
// The patterns of banner checks: Hyperscan's syntax (PCRE without back references and look-around).
// Whoever matches them compiles them with the same flags as they were validated with.
#pragma once

#include <hs/hs.h>

#include <string>

namespace sluice::config {

/// One verdict per text; `^` and `$` hold at every line of a multi-line greeting; `.` stops at the line's end.
inline constexpr unsigned kPatternFlags = HS_FLAG_SINGLEMATCH | HS_FLAG_MULTILINE;
inline constexpr unsigned kPatternMode = HS_MODE_BLOCK;

/// What is wrong with `pattern`, in words ("does not compile: ..."); "" if Hyperscan takes it. Cost: a compilation,
/// milliseconds.
std::string pattern_fault(const std::string& pattern);

}  // namespace sluice::config
