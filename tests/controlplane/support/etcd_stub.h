// SPDX-License-Identifier: Apache-2.0
//
// A member of etcd that does as it is told: a store in memory behind the JSON gateway's paths, on a port of 127.0.0.1
// and in the test's own io_context. What fails, is late or is lost of it stands in its public members.
#pragma once

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/fleet/etcd_messages.h"

namespace sluice::control {

class EtcdStub {
 public:
  explicit EtcdStub(boost::asio::io_context& io)
      : io_(io), acceptor_(io, {boost::asio::ip::address_v4::loopback(), 0}) {
    boost::asio::co_spawn(io_, accept(), boost::asio::detached);
  }

  std::string endpoint() const { return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()); }
  /// How often a path was asked for, of keys that begin so.
  int asked(const std::string& path, const std::string& prefix = "") const {
    return static_cast<int>(std::ranges::count_if(
        requests_, [&](const auto& each) { return each.first == path && each.second.starts_with(prefix); }));
  }
  void put(const std::string& key, const std::string& value, int64_t lease = 0) {
    records[key] = {key, value, lease, ++revision};
  }

  uint64_t cluster = 7;
  int64_t revision = 100;
  std::map<std::string, etcd::Record> records;
  std::set<std::string> late;  // prefixes whose listings are not answered meanwhile
  std::string held;  // a prefix: its next listing is made, and then answered when it is released; "" = it was made
  bool is_released = false;
  bool is_full = false;                             // it takes no more
  bool is_away = false;                             // it has no say: too few others are there
  std::function<void(const std::string&)> on_list;  // told of the prefix when a listing was answered

 private:
  using Request = boost::beast::http::request<boost::beast::http::string_body>;
  using Answer = boost::beast::http::response<boost::beast::http::string_body>;
  using json = nlohmann::json;

  boost::asio::awaitable<void> accept() {
    for (;;) {
      auto socket = co_await acceptor_.async_accept(boost::asio::use_awaitable);
      boost::asio::co_spawn(io_, serve(std::make_shared<boost::asio::ip::tcp::socket>(std::move(socket))),
                            boost::asio::detached);
    }
  }

  /// Until the other side closes, which ends it by an exception.
  boost::asio::awaitable<void> serve(std::shared_ptr<boost::asio::ip::tcp::socket> socket) {
    const auto buffer = std::make_shared<boost::beast::flat_buffer>();
    for (;;) {
      const auto request = std::make_shared<Request>();
      co_await boost::beast::http::async_read(*socket, *buffer, *request, boost::asio::use_awaitable);
      const std::string path(request->target());
      const auto body = std::make_shared<json>(json::parse(request->body()));
      const std::string key = key_of(path, *body);
      requests_.emplace_back(path, key);
      if (path == "/v3/watch") {
        static const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        co_await boost::asio::async_write(*socket, boost::asio::buffer(head), boost::asio::use_awaitable);
        continue;  // no more is said
      }
      boost::asio::steady_timer pause(io_);
      while (path == "/v3/kv/range" && late.contains(key)) {
        pause.expires_after(std::chrono::milliseconds(1));
        co_await pause.async_wait(boost::asio::use_awaitable);
      }
      const auto answer = std::make_shared<Answer>(answer_to(path, *body));
      answer->prepare_payload();
      if (path == "/v3/kv/range" && key == held) {
        held.clear();
        while (!is_released) {
          pause.expires_after(std::chrono::milliseconds(1));
          co_await pause.async_wait(boost::asio::use_awaitable);
        }
      }
      co_await boost::beast::http::async_write(*socket, *answer, boost::asio::use_awaitable);
      if (path == "/v3/kv/range" && on_list) on_list(key);
    }
  }

  static std::string text_in(const json& object, const char* name) {
    return etcd::from_base64(object.value(name, "")).value_or("");
  }
  /// That a request is about; of several the first.
  static std::string key_of(const std::string& path, const json& body) {
    if (path == "/v3/watch") return text_in(body.at("create_request"), "key");
    if (path == "/v3/kv/txn") return text_in(body.at("compare").at(0), "key");
    return text_in(body, "key");
  }

  static Answer answer_of(unsigned status, const json& body) {
    Answer out(boost::beast::http::int_to_status(status), 11);
    out.body() = body.dump();
    return out;
  }
  static Answer refusal(unsigned status, int code, const std::string& words) {
    return answer_of(status, {{"error", words}, {"message", words}, {"code", code}});
  }

  Answer answer_to(const std::string& path, const json& body) {
    if (is_away) return refusal(503, 14, "etcdserver: no leader");
    const bool is_write = path == "/v3/lease/grant" || path == "/v3/kv/txn";
    if (is_full && is_write) return refusal(429, 8, "etcdserver: mvcc: database space exceeded");
    json out{{"header", {{"cluster_id", std::to_string(cluster)}, {"revision", std::to_string(revision)}}}};
    if (path == "/v3/kv/range") out["kvs"] = listed(body);
    if (path == "/v3/lease/grant") out["ID"] = std::to_string(++leases_);
    if (path == "/v3/lease/keepalive") out = {{"result", {{"TTL", "10"}}}};
    if (path == "/v3/kv/txn") out["succeeded"] = swapped(body);
    return answer_of(200, out);
  }

  json listed(const json& body) const {
    const std::string from = text_in(body, "key"), end = text_in(body, "range_end");
    json out = json::array();
    for (const auto& [key, record] : records) {
      if (end.empty() ? key != from : key < from || key >= end) continue;
      out.push_back({{"key", etcd::to_base64(key)},
                     {"value", etcd::to_base64(record.value)},
                     {"lease", std::to_string(record.lease)},
                     {"mod_revision", std::to_string(record.revision)}});
    }
    return out;
  }

  bool swapped(const json& body) {
    for (const json& each : body.at("compare")) {
      const auto found = records.find(text_in(each, "key"));
      const int64_t is = found == records.end() ? 0 : found->second.revision;
      if (each.at("mod_revision") != std::to_string(is)) return false;
    }
    for (const json& each : body.at("success")) {
      if (each.contains("request_put")) {
        const json& made = each.at("request_put");
        put(text_in(made, "key"), text_in(made, "value"), std::stoll(made.value("lease", "0")));
      } else {
        records.erase(text_in(each.at("request_delete_range"), "key"));
        revision++;
      }
    }
    return true;
  }

  boost::asio::io_context& io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  std::vector<std::pair<std::string, std::string>> requests_;  // path and key
  int64_t leases_ = 0;
};

}  // namespace sluice::control
