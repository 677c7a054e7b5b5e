// SPDX-License-Identifier: Apache-2.0
//
// Which handler answers which request. A pattern is a path whose {} segments match any one segment:
// "/api/v1/backends/{}". No I/O: the server brings requests and takes answers away.
#pragma once

#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::control {

struct ApiRequest {
  boost::beast::http::verb method = boost::beast::http::verb::get;
  std::string path;   // without the query
  std::string query;  // after the "?"
  std::string body;
  bool may_write = false;               // came over the Unix socket
  std::vector<std::string> parameters;  // what the {} of the pattern matched, percent-decoded
};

struct ApiResponse {
  boost::beast::http::status status = boost::beast::http::status::ok;
  std::string content_type = "application/json";
  std::string body;

  static ApiResponse json(const nlohmann::json& value);
  /// {"error": text}
  static ApiResponse error(boost::beast::http::status status, const std::string& text);
};

class Router {
 public:
  using Handler = std::function<ApiResponse(const ApiRequest&)>;

  /// Methods other than GET need a connection that may write.
  void add(boost::beast::http::verb method, std::string_view pattern, Handler handler);

  /// 404 for an unknown path, 405 for an unknown method on a known one, 403 for a change over a read-only connection,
  /// 500 if the handler throws.
  ApiResponse answer(ApiRequest request) const;

 private:
  struct Route {
    boost::beast::http::verb method;
    std::vector<std::string> segments;
    Handler handler;
  };
  std::vector<Route> routes_;
};

/// `text` with %XX resolved; nothing if one of them is not two hexadecimal digits.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace sluice::control
