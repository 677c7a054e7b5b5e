// SPDX-License-Identifier: Apache-2.0
//
// Where a server is that is asked by HTTP: "https://10.9.0.9:2379", "https://etcd1.example.net", "http://[::1]:2379".
#pragma once

#include <cstdint>
#include <expected>
#include <string>

namespace sluice::config {

struct Endpoint {
  bool tls = true;
  std::string host;  // a name or a numeric address, without brackets
  uint16_t port = 2379;

  /// The error says what is wrong: "has a path behind its port".
  static std::expected<Endpoint, std::string> parse(const std::string& text);
  std::string to_string() const;  // with its port, always
  /// Whether what is said to it stays on this host, whatever the name service says.
  bool is_loopback() const;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace sluice::config
