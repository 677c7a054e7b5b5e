// SPDX-License-Identifier: Apache-2.0
//
// /api/v1/status as an operator reads it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace sluice::ctl {

/// Throws nlohmann::json::exception if `status` is not what control of this version says.
std::string view_of_status(const nlohmann::json& status, bool colours);

}  // namespace sluice::ctl
