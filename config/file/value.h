// SPDX-License-Identifier: Apache-2.0
//
// One setting as it stands in the file, and its reading as the types that a table of settings (config/schema/schema.h)
// is made of. Readers say what is wrong, and give nothing then.
#pragma once

#include <chrono>
#include <cstdint>
#include <libconfig.h++>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/file/findings.h"

namespace sluice::config {

struct Value {
  const libconfig::Setting& setting;
  std::string path;
  Findings& findings;

  void fault(std::string_view message) const { findings.add(path, message); }
};

/// Bounds, both allowed, and what is counted ("s", "" for bare numbers).
struct Range {
  double low;
  double high;
  const char* unit = "";

  std::string to_string() const;  // "1 to 3600 s"
};

/// "an integer", "a string", ... : what a setting is, in words.
std::string_view type_in_words(const libconfig::Setting& setting);

/// `value` without needless digits, in full: 2147483648, 0.25.
std::string number_in_words(double value);

std::optional<int64_t> read_integer(const Value& value, const Range& range);
/// Integers are numbers too.
std::optional<double> read_number(const Value& value, const Range& range);
std::optional<bool> read_boolean(const Value& value);
std::optional<std::string> read_string(const Value& value, std::string_view allowed);
/// The index of the word in `words`.
std::optional<size_t> read_choice(const Value& value, std::span<const std::string> words);

/// What a group or list contains, each noted in the findings. Nothing, and a fault, if it is not such a thing.
/// Members whose name is faulty already are left out.
std::vector<Value> read_members(const Value& group);
std::vector<Value> read_elements(const Value& list, size_t most);
/// The elements of an array or list of strings. Those that are no strings are faults, and left out.
std::vector<std::string> read_strings(const Value& array, size_t most, std::string_view allowed);

/// The elements of an array or list of numbers. Those that are none, or out of range, are faults, and left out.
std::vector<double> read_numbers(const Value& array, size_t most, const Range& range);

inline constexpr std::string_view kDateAllowed = "a day as YYYY-MM-DD, such as \"2026-12-01\"";
std::optional<std::chrono::sys_days> read_date(const Value& value);

}  // namespace sluice::config
