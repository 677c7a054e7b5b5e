// SPDX-License-Identifier: Apache-2.0
#include "controlplane/router.h"

#include <charconv>
#include <optional>

namespace sluice::control {

namespace http = boost::beast::http;

namespace {

constexpr std::string_view kAnySegment = "{}";

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> out;
  while (!path.empty()) {
    path.remove_prefix(path.front() == '/');
    const size_t end = std::min(path.find('/'), path.size());
    out.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

/// The values of the pattern's {} segments, or nothing if the path does not match.
std::optional<std::vector<std::string>> match(const std::vector<std::string>& pattern,
                                              const std::vector<std::string>& path) {
  if (pattern.size() != path.size()) return std::nullopt;
  std::vector<std::string> parameters;
  for (size_t i = 0; i < pattern.size(); i++) {
    if (pattern[i] == kAnySegment) {
      auto value = percent_decoded(path[i]);
      if (!value) return std::nullopt;
      parameters.push_back(std::move(*value));
    } else if (pattern[i] != path[i]) {
      return std::nullopt;
    }
  }
  return parameters;
}

}  // namespace

ApiResponse ApiResponse::json(const nlohmann::json& value) {
  ApiResponse out;
  // Text from the network (greetings) may be in any encoding; an answer is UTF-8 all the same.
  out.body = value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return out;
}

ApiResponse ApiResponse::error(http::status status, const std::string& text) {
  ApiResponse out = json({{"error", text}});
  out.status = status;
  return out;
}

void Router::add(http::verb method, std::string_view pattern, Handler handler) {
  routes_.push_back({method, split(pattern), std::move(handler)});
}

ApiResponse Router::answer(ApiRequest request) const {
  const std::vector<std::string> path = split(request.path);
  std::string allowed;
  for (const Route& route : routes_) {
    auto parameters = match(route.segments, path);
    if (!parameters) continue;
    if (route.method != request.method) {
      allowed += (allowed.empty() ? "" : ", ") + std::string(http::to_string(route.method));
      continue;
    }
    if (route.method != http::verb::get && !request.may_write) {
      return ApiResponse::error(http::status::forbidden, "this address is read-only; use the Unix socket");
    }
    request.parameters = std::move(*parameters);
    try {
      return route.handler(request);
    } catch (const std::exception& fault) {
      return ApiResponse::error(http::status::internal_server_error, fault.what());
    }
  }
  if (!allowed.empty()) return ApiResponse::error(http::status::method_not_allowed, "use " + allowed);
  return ApiResponse::error(http::status::not_found, "there is nothing at " + request.path);
}

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    unsigned value = 0;
    const char* begin = text.data() + i + 1;
    if (text.size() - i < 3 || std::from_chars(begin, begin + 2, value, 16).ptr != begin + 2) return std::nullopt;
    out.push_back(static_cast<char>(value));
    i += 2;
  }
  return out;
}

}  // namespace sluice::control
