// SPDX-License-Identifier: Apache-2.0
//
// The page at "/", made at build time of what is in controlplane/page/: one file, no other is fetched.
#pragma once

#include <string_view>

#include "controlplane/router.h"

namespace sluice::control {

extern const std::string_view kPage;        // HTML
extern const std::string_view kPagePolicy;  // its Content-Security-Policy

/// "/"
void add_page_routes(Router& router);

}  // namespace sluice::control
