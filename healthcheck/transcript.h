// SPDX-License-Identifier: Apache-2.0
//
// What was said in a probe, line by line, for `sluicectl check`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sluice::health {

enum class Speaker : char { kProbe = '>', kServer = '<', kNote = '*' };

struct TranscriptLine {
  uint32_t us = 0;  // since the probe began
  Speaker speaker = Speaker::kNote;
  std::string text;  // sanitised, without its line end
};

using Transcript = std::vector<TranscriptLine>;

inline constexpr size_t kMaxTranscriptLines = 256;

}  // namespace sluice::health
