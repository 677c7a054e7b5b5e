// SPDX-License-Identifier: Apache-2.0
//
// Which handler answers which request. A pattern is a path whose {} segments match any one segment:
// "/api/v1/backends/{}". No I/O: the server brings requests and takes answers away.
#pragma once

#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::control {

struct ApiRequest {
  boost::beast::http::verb method = boost::beast::http::verb::get;
  std::string path;   // without the query
  std::string query;  // after the "?"
  std::string body;
  bool may_read = true;                 // otherwise only what is open to everybody
  bool may_write = false;               // its connection may change things
  std::string who;                      // asks, in words for operators
  std::vector<std::string> parameters;  // what the {} of the pattern matched, percent-decoded
};

struct ApiResponse {
  boost::beast::http::status status = boost::beast::http::status::ok;
  std::string content_type = "application/json";
  std::string allow;  // the header of that name; "" = none
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // besides those that every answer has

  static ApiResponse json(const nlohmann::json& value);
  /// {"error": text}
  static ApiResponse error(boost::beast::http::status status, const std::string& text);
};

/// Takes the answer to one request, now or later. Copies are the same reply; the first answer counts, and when the last
/// copy goes without one, the client is told so.
class Reply {
 public:
  using Take = std::function<void(ApiResponse)>;

  explicit Reply(Take take);
  void operator()(ApiResponse response) const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

class Router {
 public:
  using Handler = std::function<ApiResponse(const ApiRequest&)>;
  using LaterHandler = std::function<void(const ApiRequest&, Reply)>;

  /// Methods other than GET need a connection that may write. HEAD is answered as GET (what takes answers away leaves
  /// the body out), and OPTIONS with what else there is.
  void add(boost::beast::http::verb method, std::string_view pattern, Handler handler);
  /// GET, for everybody who can connect.
  void add_open(std::string_view pattern, Handler handler);
  /// GET, for those who may write: it shows what single clients do.
  void add_confidential(std::string_view pattern, LaterHandler handler);
  /// For what takes time: the handler returns at once and keeps the reply. How long it does is its own to bound.
  void add_later(boost::beast::http::verb method, std::string_view pattern, LaterHandler handler);

  /// Called before each handler of a method other than GET.
  void before_changes(std::function<void()> hook) { before_changes_ = std::move(hook); }

  /// 404 for an unknown path, 405 for an unknown method on a known one, 401 and 403 for what the connection may not do,
  /// 500 if the handler throws.
  void answer(ApiRequest request, const Reply& reply) const;

  /// "GET /api/v1/backends/{}", in the order in which they were added.
  std::vector<std::string> routes() const;

 private:
  enum class For { kEverybody, kReaders, kWriters };
  struct Route {
    boost::beast::http::verb method;
    std::vector<std::string> segments;
    LaterHandler handler;
    For who;
  };
  static std::optional<ApiResponse> refusal(const Route& route, const ApiRequest& request);

  std::vector<Route> routes_;
  std::function<void()> before_changes_;
};

/// `text` with %XX resolved; nothing if one of them is not two hexadecimal digits.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace sluice::control
