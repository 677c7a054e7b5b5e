// SPDX-License-Identifier: Apache-2.0
#include "controlplane/page/page.h"

namespace sluice::control {

void add_page_routes(Router& router) {
  router.add(boost::beast::http::verb::get, "/", [](const ApiRequest&) {
    return ApiResponse{.content_type = "text/html; charset=utf-8",
                       .body = std::string(page_text()),
                       .headers = {{"Content-Security-Policy", std::string(page_policy())},
                                   {"Referrer-Policy", "no-referrer"},
                                   {"X-Frame-Options", "DENY"}}};
  });
}

}  // namespace sluice::control
