// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cctype>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

namespace sluice::ctl {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

constexpr unsigned kHttp11 = 11;
constexpr size_t kMaxSocketPathBytes = 107;  // sun_path
constexpr uint64_t kMaxAnswerBytes = 256ULL << 20;

std::unexpected<Failure> unreachable(const std::string& socket, const error_code& error) {
  std::string hint;
  if (error == asio::error::connection_refused || error.value() == ENOENT) hint = "; is sluice-control running?";
  if (error == asio::error::timed_out) hint = "; control may hang: see its log";
  if (error.value() == EACCES) hint = "; run as root, or as a member of the socket's group";
  return std::unexpected(
      Failure{Exit::kUnreachable, fmt::format("cannot reach control at {}: {}{}", socket, error.message(), hint)});
}

/// One request and its answer, bounded as a whole. Asynchronous, though nothing else goes on: Asio's blocking calls
/// wait by poll(2) without an end, whatever time limits the socket has.
class Conversation {
 public:
  Conversation(http::request<http::string_body> request, std::chrono::milliseconds patience)
      : request_(std::move(request)), patience_(patience) {
    request_.set(http::field::host, "localhost");
    request_.set(http::field::connection, "close");
    request_.prepare_payload();
    parser_.body_limit(kMaxAnswerBytes);
  }

  error_code hold(const asio::local::stream_protocol::endpoint& server) {
    stream_.expires_after(patience_);
    stream_.async_connect(server, [this](const error_code& error) { connected(error); });
    io_.run();
    return error_;
  }

  http::response<http::string_body> take_answer() { return parser_.release(); }

 private:
  void connected(const error_code& error) {
    if (end_on(error)) return;
    http::async_write(stream_, request_, [this](const error_code& written, size_t) {
      if (end_on(written)) return;
      http::async_read(stream_, buffer_, parser_, [this](const error_code& read, size_t) { end_on(read); });
    });
  }

  bool end_on(const error_code& error) {
    error_ = error == boost::beast::error::timeout ? error_code(asio::error::timed_out) : error;
    return bool(error_);
  }

  asio::io_context io_;
  boost::beast::basic_stream<asio::local::stream_protocol> stream_{io_};
  http::request<http::string_body> request_;
  std::chrono::milliseconds patience_;
  boost::beast::flat_buffer buffer_;
  http::response_parser<http::string_body> parser_;
  error_code error_;
};

std::expected<http::response<http::string_body>, Failure> ask(const std::string& path_of_socket,
                                                              http::request<http::string_body> request,
                                                              std::chrono::milliseconds patience) {
  if (path_of_socket.size() > kMaxSocketPathBytes) {
    return std::unexpected(
        Failure{Exit::kUsage, fmt::format("--socket: a socket's path has at most {} bytes", kMaxSocketPathBytes)});
  }
  Conversation conversation(std::move(request), patience);
  const error_code error = conversation.hold(asio::local::stream_protocol::endpoint(path_of_socket));
  if (error) return unreachable(path_of_socket, error);
  return conversation.take_answer();
}

Failure refusal(const http::response<http::string_body>& response) {
  const auto answer = nlohmann::json::parse(response.body(), nullptr, false);
  const std::string text = answer.is_object() ? answer.value("error", std::string()) : std::string();
  const Exit exit = response.result() == http::status::not_found ? Exit::kUnknown : Exit::kFailed;
  return {exit, text.empty() ? fmt::format("control answers {}", response.result_int()) : text, response.result_int()};
}

Client::Answer ask_json(const std::string& socket, http::request<http::string_body> request,
                        std::chrono::milliseconds patience) {
  const auto response = ask(socket, std::move(request), patience);
  if (!response) return std::unexpected(response.error());
  if (http::to_status_class(response->result()) != http::status_class::successful) {
    return std::unexpected(refusal(*response));
  }
  auto answer = nlohmann::json::parse(response->body(), nullptr, false);
  if (answer.is_discarded()) return std::unexpected(Failure{Exit::kFailed, "control's answer is not JSON"});
  return answer;
}

http::request<http::string_body> request_with(http::verb verb, const std::string& path, const nlohmann::json& body) {
  http::request<http::string_body> out(verb, path, kHttp11);
  out.set(http::field::content_type, "application/json");
  out.body() = body.dump();
  return out;
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

Client::Answer Client::get(const std::string& path, std::chrono::milliseconds patience) const {
  return ask_json(socket_, {http::verb::get, path, kHttp11}, patience);
}

std::expected<std::string, Failure> Client::get_text(const std::string& path) const {
  auto response = ask(socket_, {http::verb::get, path, kHttp11}, kPatience);
  if (!response) return std::unexpected(response.error());
  if (response->result() != http::status::ok) return std::unexpected(refusal(*response));
  return std::move(response->body());
}

Client::Answer Client::post(const std::string& path, const nlohmann::json& body,
                            std::chrono::milliseconds patience) const {
  return ask_json(socket_, request_with(http::verb::post, path, body), patience);
}

Client::Answer Client::put(const std::string& path, const nlohmann::json& body) const {
  return ask_json(socket_, request_with(http::verb::put, path, body), kPatience);
}

Client::Answer Client::remove(const std::string& path) const {
  return ask_json(socket_, {http::verb::delete_, path, kHttp11}, kPatience);
}

std::string path_segment(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const bool is_plain =
        std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.' || c == '~';
    out += is_plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace sluice::ctl
