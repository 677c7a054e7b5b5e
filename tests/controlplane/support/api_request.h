// SPDX-License-Identifier: Apache-2.0
//
// A request to a router, as the server would bring it, and its answer.
#pragma once

#include <boost/beast/http/verb.hpp>
#include <string>
#include <utility>

#include "controlplane/http/router.h"

namespace sluice::control {

/// The answer to "PATH?QUERY" from who may write or not; empty if there is none yet.
inline ApiResponse ask_router(const Router& router, const std::string& target,
                              boost::beast::http::verb method = boost::beast::http::verb::get,
                              const std::string& body = "", bool may_write = false) {
  ApiRequest request;
  request.method = method;
  request.path = target.substr(0, target.find('?'));
  if (request.path.size() < target.size()) request.query = target.substr(request.path.size() + 1);
  request.body = body;
  request.may_write = may_write;
  ApiResponse out;
  router.answer(request, Reply([&out](ApiResponse response) { out = std::move(response); }));
  return out;
}

}  // namespace sluice::control
