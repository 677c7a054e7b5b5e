// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http/router.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

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

struct Reply::State {
  Take take;

  explicit State(Take taker) : take(std::move(taker)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    if (take) take(ApiResponse::error(http::status::service_unavailable, "the request was given up"));
  }
};

Reply::Reply(Take take) : state_(std::make_shared<State>(std::move(take))) {}

void Reply::operator()(ApiResponse response) const {
  if (const Take take = std::exchange(state_->take, {})) take(std::move(response));
}

void Router::add(http::verb method, std::string_view pattern, Handler handler) {
  add_later(method, pattern,
            [handler = std::move(handler)](const ApiRequest& request, const Reply& reply) { reply(handler(request)); });
}

void Router::add_open(std::string_view pattern, Handler handler) {
  add(http::verb::get, pattern, std::move(handler));
  routes_.back().who = For::kEverybody;
}

void Router::add_confidential(std::string_view pattern, LaterHandler handler) {
  add_later(http::verb::get, pattern, std::move(handler));
  routes_.back().who = For::kWriters;
}

void Router::add_later(http::verb method, std::string_view pattern, LaterHandler handler) {
  const For who = method == http::verb::get ? For::kReaders : For::kWriters;
  routes_.push_back({method, split(pattern), std::move(handler), who});
}

/// The answer to who may not have this one.
std::optional<ApiResponse> Router::refusal(const Route& route, const ApiRequest& request) {
  if (!request.may_read && route.who != For::kEverybody)
    return ApiResponse::error(http::status::unauthorized, "reading from another host needs a bearer token");
  if (request.may_write || route.who != For::kWriters) return std::nullopt;
  const std::string what = route.method == http::verb::get ? "what shows what clients do needs" : "changes need";
  return ApiResponse::error(http::status::forbidden,
                            what + " the Unix socket, or the bearer token of control.token_file");
}

void Router::answer(ApiRequest request, const Reply& reply) const {
  const std::vector<std::string> path = split(request.path);
  const http::verb method = request.method == http::verb::head ? http::verb::get : request.method;
  std::string allowed;
  for (const Route& route : routes_) {
    auto parameters = match(route.segments, path);
    if (!parameters) continue;
    if (route.method != method) {
      allowed += (allowed.empty() ? "" : ", ") + std::string(http::to_string(route.method));
      if (route.method == http::verb::get) allowed += ", HEAD";
      continue;
    }
    if (auto refused = refusal(route, request)) return reply(std::move(*refused));
    request.method = method;
    request.parameters = std::move(*parameters);
    try {
      if (method != http::verb::get && before_changes_) before_changes_();
      return route.handler(request, reply);
    } catch (const std::exception& fault) {
      return reply(ApiResponse::error(http::status::internal_server_error, fault.what()));
    }
  }
  if (allowed.empty()) return reply(ApiResponse::error(http::status::not_found, "there is nothing at " + request.path));
  const bool is_asked = method == http::verb::options;
  ApiResponse out = is_asked ? ApiResponse{.status = http::status::no_content}
                             : ApiResponse::error(http::status::method_not_allowed, "use " + allowed);
  out.allow = std::move(allowed) + ", OPTIONS";
  reply(std::move(out));
}

std::vector<std::string> Router::routes() const {
  std::vector<std::string> out;
  for (const Route& route : routes_) {
    std::string& line = out.emplace_back(http::to_string(route.method));
    line += route.segments.empty() ? " /" : " ";
    for (const std::string& segment : route.segments) line += "/" + segment;
  }
  return out;
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
