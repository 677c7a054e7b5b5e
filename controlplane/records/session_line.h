// SPDX-License-Identifier: Apache-2.0
//
// A session's record as a JSON object in one line: docs/sessions.md is its reference. What is not known is left out.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "controlplane/records/session_names.h"
#include "controlplane/records/session_words.h"

namespace sluice::control {

/// How records of one node are written.
struct LineStyle {
  std::string node;
  double share = 1;            // of ordinary sessions, if they are sampled
  int64_t wall_offset_ms = 0;  // from CLOCK_MONOTONIC to Unix time
};

/// Appends the object, without a newline.
void append_json(fmt::memory_buffer& out, const KnownSession& session, const LineStyle& style);

}  // namespace sluice::control
