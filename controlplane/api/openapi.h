// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace sluice::control {

/// The description of the API: openapi.json, as it stands in the tree.
extern const std::string_view kOpenApi;

}  // namespace sluice::control
