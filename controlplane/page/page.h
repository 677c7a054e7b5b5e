// SPDX-License-Identifier: Apache-2.0
//
// The page at "/", made at build time of what is in controlplane/page/: one file, no other is fetched.
#pragma once

#include <string_view>

#include "controlplane/http/router.h"

namespace sluice::control {

/// HTML.
std::string_view page_text();
/// Its Content-Security-Policy.
std::string_view page_policy();

/// "/"
void add_page_routes(Router& router);

}  // namespace sluice::control
