// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http/request.h"

#include <string_view>

namespace sluice::control {

namespace http = boost::beast::http;

std::expected<AccessRules::Granted, ApiResponse> judge(const AccessRules& rules, const Peer& peer,
                                                       const HttpRequest& request) {
  if (peer.is_local) return AccessRules::Granted{true, true};
  constexpr unsigned kHttp11 = 11;  // from which on a Host is demanded (RFC 9112 section 3.2)
  const auto hosts = request.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && request.version() >= kHttp11))
    return std::unexpected(ApiResponse::error(http::status::bad_request, "allowed: one Host"));
  const auto value = [&](http::field name) { return std::string_view(request[name].data(), request[name].size()); };
  return rules.judge({value(http::field::host), value(http::field::authorization), peer.is_here, peer.is_certified});
}

ApiRequest to_api(const HttpRequest& request) {
  ApiRequest out;
  out.method = request.method();
  const std::string target(request.target());
  const size_t mark = target.find('?');
  out.path = target.substr(0, mark);
  if (mark != std::string::npos) out.query = target.substr(mark + 1);
  out.body = request.body();
  return out;
}

}  // namespace sluice::control
