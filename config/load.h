// SPDX-License-Identifier: Apache-2.0
//
// From a libconfig file to a `Config`, or to the list of everything that is wrong with it.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "config/file/fault.h"
#include "config/file/findings.h"
#include "config/model.h"

namespace sluice::config {

/// What a file says, and where each setting stands; with what is most likely a mistake (`findings.warnings()`).
struct Reading {
  Config config;
  Findings findings;
};

/// Reads the file at `path` and whatever it includes (`@include "FILE"`, relative to the including file).
/// Faults are all that were found, in the order in which their lines are read; never empty. Blocks on file
/// input, and takes some milliseconds per pattern; for start-up and reload. Does not throw on bad input.
std::expected<Reading, std::vector<Fault>> read_config(const std::string& path);

/// The same for `text` in place of what the file at `path` holds; `path` need not exist.
std::expected<Reading, std::vector<Fault>> read_config_text(const std::string& path, const std::string& text);

/// The configuration alone, for those who need not know where it says so.
std::expected<Config, std::vector<Fault>> load(const std::string& path);
std::expected<Config, std::vector<Fault>> load_text(const std::string& path, const std::string& text);

/// The backends of a JSON document, {"backends": [{"name": "mta7", "address": "10.0.1.17"}, ...]}, each with the
/// settings of `pools[].backends`. `path` names the document in the faults: all that were found, never empty.
std::expected<std::vector<Backend>, std::vector<std::string>> read_backends(const std::string& path,
                                                                            std::string_view json);

/// What the rules between settings have against a configuration of which no file is at hand: one that was read, and
/// that has other members now. Empty: nothing.
std::vector<std::string> faults_of(const Config& config);

}  // namespace sluice::config
