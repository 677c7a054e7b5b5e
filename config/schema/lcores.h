// SPDX-License-Identifier: Apache-2.0
//
// Lists of logical cores as DPDK's -l takes them: "1", "1,3", "2-5,8".
#pragma once

#include <expected>
#include <string>
#include <vector>

namespace sluice::config {

/// The cores in the order written, or what is wrong with `text` in words ("has core 1 twice"). No core may stand twice.
std::expected<std::vector<unsigned>, std::string> parse_lcores(const std::string& text);

}  // namespace sluice::config
