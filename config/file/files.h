// SPDX-License-Identifier: Apache-2.0
//
// Which files a configuration is made of.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/file/source.h"

namespace sluice::config {

struct Files {
  std::vector<std::string>
      all;                   // that which was read, then those that it includes, each once; empty: it cannot be read
  std::string with_setting;  // in which of them the setting stands; "" = in none
};

/// Of a source; `line`: on which of its text the setting stands, if anywhere.
Files files_of(const Source& source, std::optional<unsigned> line);

/// Of the configuration at `path`; `setting`: "fleet.node". Blocks on file input.
Files files_of(const std::string& path, const std::string& setting);

}  // namespace sluice::config
