// SPDX-License-Identifier: Apache-2.0
//
// A request as it came over HTTP: who may ask for it, and what of it a router is to know. Pure.
#pragma once

#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <expected>
#include <string>

#include "controlplane/http/access.h"
#include "controlplane/http/router.h"

namespace sluice::control {

using HttpRequest = boost::beast::http::request<boost::beast::http::string_body>;

/// Who is at the other end of a connection.
struct Peer {
  bool is_local = false;  // on the Unix socket
  bool is_here = false;   // on this host
  bool is_certified = false;
  std::string name;  // for operators: "root (uid 0)", "192.0.2.7", "192.0.2.7 (CN=ops)"
};

/// What the request may do; or the answer to it. Its header is enough. Whoever reaches the Unix socket may do
/// everything: its file's mode and group say who does.
std::expected<AccessRules::Granted, ApiResponse> judge(const AccessRules& rules, const Peer& peer,
                                                       const HttpRequest& request);

/// Without what it may do, and who asks.
ApiRequest to_api(const HttpRequest& request);

}  // namespace sluice::control
