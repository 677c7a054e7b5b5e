// SPDX-License-Identifier: Apache-2.0
//
// /api/v1/status as an operator reads it.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace sluice::ctl {

/// Throws nlohmann::json::exception if `status` is not what control of this version says.
std::string view_of_status(const nlohmann::json& status, bool colours);

/// "42s", "7m 3s", "5h 12m", "3d 4h": between two RFC 3339 times in UTC; "?" if one of them is none.
std::string time_between(const std::string& from, const std::string& to);

}  // namespace sluice::ctl
