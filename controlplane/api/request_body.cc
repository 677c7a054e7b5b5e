// SPDX-License-Identifier: Apache-2.0
#include "controlplane/api/request_body.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::control {

using nlohmann::json;

namespace {

constexpr int kMostLevels = 32;  // nlohmann's dump() and copies recurse; bodies of ours have six

}  // namespace

std::expected<RequestBody, std::string> RequestBody::parse(const std::string& text,
                                                           std::initializer_list<std::string_view> known) {
  using Event = json::parse_event_t;
  bool is_too_deep = false;
  const auto watch = [&](int depth, Event event, json&) {
    is_too_deep |= depth >= kMostLevels && (event == Event::object_start || event == Event::array_start);
    return !is_too_deep;
  };
  RequestBody out;
  out.json_ = json::parse(text, watch, false);
  if (is_too_deep)
    return std::unexpected(fmt::format("the body has brackets within brackets; allowed: {} levels", kMostLevels));
  if (!out.json_.is_object()) return std::unexpected("the body is no JSON object");
  for (const auto& [name, value] : out.json_.items()) {
    if (std::ranges::find(known, name) == known.end())
      return std::unexpected(fmt::format("unknown member \"{}\"", name));
  }
  return out;
}

const json* RequestBody::find(const char* name) const {
  const auto found = json_.find(name);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

std::expected<std::string, std::string> RequestBody::text(const char* name) const {
  const json* const found = find(name);
  if (found == nullptr) return "";
  if (found->is_string()) return found->get<std::string>();
  return std::unexpected(fmt::format("\"{}\": allowed: a text", name));
}

std::expected<std::optional<uint64_t>, std::string> RequestBody::number(const char* name, uint64_t least,
                                                                        uint64_t most) const {
  const json* const found = find(name);
  if (found == nullptr) return std::nullopt;
  if (found->is_number_unsigned()) {
    const auto value = found->get<uint64_t>();
    if (value >= least && value <= most) return value;
  }
  return std::unexpected(fmt::format("\"{}\": allowed: a whole number from {} to {}", name, least, most));
}

std::expected<bool, std::string> RequestBody::flag(const char* name) const {
  const auto found = json_.find(name);
  if (found == json_.end()) return false;
  if (found->is_boolean()) return found->get<bool>();
  return std::unexpected(fmt::format("\"{}\": allowed: true, false", name));
}

std::expected<std::string, std::string> RequestBody::object(const char* name) const {
  const json* const found = find(name);
  if (found == nullptr) return "";
  if (found->is_object()) return found->dump();
  return std::unexpected(fmt::format("\"{}\": allowed: an object", name));
}

}  // namespace sluice::control
