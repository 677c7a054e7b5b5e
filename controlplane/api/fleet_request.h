// SPDX-License-Identifier: Apache-2.0
//
// What a body says that accepts an etcd which is not the one that was known. Pure.
#pragma once

#include <expected>
#include <string>

namespace sluice::control {

/// Of the body `text`. The error says what is allowed.
std::expected<void, std::string> fleet_request_from(const std::string& text);

}  // namespace sluice::control
