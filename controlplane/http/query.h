// SPDX-License-Identifier: Apache-2.0
//
// The query of a request: "limit=20&kind=backend". Names that a route does not know are refused, not passed over.
#pragma once

#include <cstdint>
#include <expected>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::control {

class Query {
 public:
  struct Bounds {
    uint64_t least = 0;
    uint64_t most = UINT64_MAX;
  };

  /// The error says, for the operator, which name is unknown, given twice or badly encoded.
  static std::expected<Query, std::string> parse(std::string_view query, std::initializer_list<std::string_view> known);

  /// The value of `name`, percent-decoded.
  std::optional<std::string> text(const std::string& name) const;
  /// The value of `name`, or `otherwise` if it is not given. The error says what is allowed.
  std::expected<uint64_t, std::string> number(const std::string& name, uint64_t otherwise, Bounds bounds) const;

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace sluice::control
