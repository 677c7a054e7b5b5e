// SPDX-License-Identifier: Apache-2.0
//
// How a forced check looks to the operator: the dialogue line by line with its times, then the verdict and the time
// that each step took.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace sluice::ctl {

std::string view_of_check(const nlohmann::json& answer, bool colours);

}  // namespace sluice::ctl
