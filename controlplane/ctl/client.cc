// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <filesystem>
#include <vector>

namespace sluice::ctl {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr timeval kTimeout{10, 0};
constexpr uint64_t kMaxAnswerBytes = 256ULL << 20;

std::unexpected<Failure> unreachable(const std::string& socket, const error_code& error) {
  std::string hint;
  if (error == asio::error::connection_refused || error.value() == ENOENT) hint = "; is sluice-control running?";
  if (error.value() == EACCES) hint = "; run as root, or as a member of the socket's group";
  return std::unexpected(
      Failure{Exit::kUnreachable, fmt::format("cannot reach control at {}: {}{}", socket, error.message(), hint)});
}

}  // namespace

std::expected<std::string, Failure> find_socket(const std::string& directory) {
  std::vector<std::string> found;
  std::error_code error;
  for (const auto& instance : std::filesystem::directory_iterator(directory, error)) {
    const auto socket = instance.path() / "control.sock";
    std::error_code ignored;
    if (std::filesystem::is_socket(socket, ignored)) found.push_back(socket.string());
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) {
    return std::unexpected(
        Failure{Exit::kUnreachable, fmt::format("no control socket under {}; is sluice-control running? Otherwise say "
                                                "where with --socket PATH or --config FILE",
                                                directory)});
  }
  std::sort(found.begin(), found.end());
  return std::unexpected(Failure{
      Exit::kUsage, fmt::format("several instances run here; choose one with --socket: {}", fmt::join(found, ", "))});
}

std::expected<nlohmann::json, Failure> get(const std::string& path_of_socket, const std::string& path) {
  asio::io_context io;
  asio::local::stream_protocol::socket socket(io);
  error_code error;
  if (path_of_socket.size() > 107) {  // sun_path
    return std::unexpected(Failure{Exit::kUsage, "--socket: a socket's path has at most 107 bytes"});
  }
  socket.connect(asio::local::stream_protocol::endpoint(path_of_socket), error);
  if (error) return unreachable(path_of_socket, error);
  setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof kTimeout);
  setsockopt(socket.native_handle(), SOL_SOCKET, SO_SNDTIMEO, &kTimeout, sizeof kTimeout);

  http::request<http::empty_body> request(http::verb::get, path, 11);
  request.set(http::field::host, "localhost");
  request.set(http::field::connection, "close");
  http::write(socket, request, error);
  if (error) return unreachable(path_of_socket, error);
  boost::beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(kMaxAnswerBytes);
  http::read(socket, buffer, parser, error);
  if (error == asio::error::would_block) error = asio::error::timed_out;
  if (error) return unreachable(path_of_socket, error);

  auto answer = nlohmann::json::parse(parser.get().body(), nullptr, false);
  if (answer.is_discarded()) return std::unexpected(Failure{Exit::kFailed, "control's answer is not JSON"});
  if (parser.get().result() == http::status::ok) return answer;
  const std::string text = answer.is_object() ? answer.value("error", std::string()) : std::string();
  return std::unexpected(
      Failure{Exit::kFailed, text.empty() ? fmt::format("control answers {}", parser.get().result_int()) : text});
}

}  // namespace sluice::ctl
