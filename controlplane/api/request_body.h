// SPDX-License-Identifier: Apache-2.0
//
// A request's body: a JSON object, each member of which is checked as it is taken. Errors say what is allowed. Pure.
#pragma once

#include <expected>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::control {

class RequestBody {
 public:
  /// Of an object that has no members but those known, and is not nested deeply.
  static std::expected<RequestBody, std::string> parse(const std::string& text,
                                                       std::initializer_list<std::string_view> known);

  // But for flag(), null is as if it were not there.

  /// "" if it is not there.
  std::expected<std::string, std::string> text(const char* name) const;
  /// Nothing if it is not there.
  std::expected<std::optional<uint64_t>, std::string> number(const char* name, uint64_t least, uint64_t most) const;
  /// False if it is not there.
  std::expected<bool, std::string> flag(const char* name) const;
  /// As text of JSON; "" if it is not there.
  std::expected<std::string, std::string> object(const char* name) const;

 private:
  /// Null if it is not there.
  const nlohmann::json* find(const char* name) const;

  nlohmann::json json_;
};

}  // namespace sluice::control
