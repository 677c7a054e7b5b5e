// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace sluice::ctl {

/// What a reload changes, from the answer of /api/v1/reload or /api/v1/diff, for people. Throws
/// nlohmann::json::exception for an answer of another form.
std::string view_of_reload(const nlohmann::json& plan, bool colours);

}  // namespace sluice::ctl
