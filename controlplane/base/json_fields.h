// SPDX-License-Identifier: Apache-2.0
//
// Fields of JSON that others may have written: a number that does not fit is a fault, and no other number.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "controlplane/base/times.h"

namespace sluice::control {

/// The whole number called `name`. Throws what nlohmann throws if there is none, std::invalid_argument if it is another
/// thing or out of bounds, which lie within int64_t.
inline int64_t whole_in(const nlohmann::json& object, const char* name, int64_t least, int64_t most) {
  const nlohmann::json& value = object.at(name);
  // What does not fit into 64 bits is a floating-point number to the parser.
  const bool fits = value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
  if (fits && value.get<int64_t>() >= least && value.get<int64_t>() <= most) return value.get<int64_t>();
  throw std::invalid_argument(fmt::format("\"{}\": allowed: a whole number from {} to {}", name, least, most));
}

/// Likewise, where all of 64 bits may be: a key.
inline uint64_t unsigned_in(const nlohmann::json& object, const char* name) {
  const nlohmann::json& value = object.at(name);
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  throw std::invalid_argument(fmt::format("\"{}\": allowed: a whole number that is not negative", name));
}

/// Throws, as whole_in() does, unless `whole` is of that version.
inline void require_version(const nlohmann::json& whole, int64_t known) {
  if (const int64_t found = whole_in(whole, "version", INT64_MIN, INT64_MAX); found != known)
    throw std::invalid_argument(fmt::format("it is of version {}, this program knows version {}", found, known));
}

/// The time called `name`, in milliseconds since 1970, as whole_in() throws.
inline SystemTime time_in(const nlohmann::json& object, const char* name) {
  constexpr int64_t kYear2200 = 7'258'118'400'000;
  return from_ms(whole_in(object, name, 0, kYear2200));
}

}  // namespace sluice::control
