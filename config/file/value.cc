// SPDX-License-Identifier: Apache-2.0
#include "config/file/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "config/file/suggest.h"

namespace sluice::config {

using libconfig::Setting;

namespace {

bool is_integer(const Setting& setting) {
  return setting.getType() == Setting::TypeInt || setting.getType() == Setting::TypeInt64;
}

int64_t integer_of(const Setting& setting) {
  if (setting.getType() == Setting::TypeInt) return static_cast<int>(setting);
  return static_cast<long long>(setting);
}

void wrong_type(const Value& value, std::string_view wanted, std::string_view allowed) {
  value.fault(fmt::format("must be {}, not {}; allowed: {}", wanted, type_in_words(value.setting), allowed));
}

void out_of_range(const Value& value, const std::string& shown, const Range& range) {
  value.fault(fmt::format("{} is out of range; allowed: {}", shown, range.to_string()));
}

// A child's name for the path; an element's is its index.
Value child(const Value& parent, int index) {
  const Setting& setting = parent.setting[index];
  const char* name = setting.getName();
  const bool top = parent.path.empty();
  std::string path = name == nullptr ? fmt::format("{}[{}]", parent.path, index)
                                     : fmt::format("{}{}{}", parent.path, top ? "" : ".", name);
  parent.findings.saw(path, setting.getSourceLine());
  return {setting, std::move(path), parent.findings};
}

/// The elements of an array or list, each read by `read`; those that it does not take are left out.
template <class T, class Read>
std::vector<T> read_array(const Value& array, size_t most, std::string_view wanted, std::string_view form, Read read) {
  std::vector<T> out;
  if (!array.setting.isArray() && !array.setting.isList()) {
    wrong_type(array, wanted, form);
    return out;
  }
  const auto length = static_cast<size_t>(array.setting.getLength());
  if (length > most) {
    array.fault(fmt::format("has {} elements; allowed: at most {}", length, most));
    return out;
  }
  for (size_t i = 0; i < length; i++) {
    if (const auto element = read(child(array, static_cast<int>(i)))) out.push_back(*element);
  }
  return out;
}

}  // namespace

std::string number_in_words(double value) {
  const bool whole = value == std::floor(value) && std::abs(value) < 1e15;
  return whole ? fmt::format("{:.0f}", value) : fmt::format("{}", value);
}

std::string Range::to_string() const {
  return fmt::format("{} to {}{}{}", number_in_words(low), number_in_words(high), *unit == '\0' ? "" : " ", unit);
}

std::string_view type_in_words(const Setting& setting) {
  switch (setting.getType()) {
    case Setting::TypeInt:
    case Setting::TypeInt64:
      return "an integer";
    case Setting::TypeFloat:
      return "a number with a fraction";
    case Setting::TypeString:
      return "a string";
    case Setting::TypeBoolean:
      return "a boolean";
    case Setting::TypeGroup:
      return "a group";
    case Setting::TypeArray:
      return "an array";
    case Setting::TypeList:
      return "a list";
    case Setting::TypeNone:
      break;
  }
  return "empty";
}

std::optional<int64_t> read_integer(const Value& value, const Range& range) {
  const bool whole = value.setting.getType() == Setting::TypeFloat &&
                     static_cast<double>(value.setting) == std::floor(static_cast<double>(value.setting)) &&
                     std::abs(static_cast<double>(value.setting)) < 1e15;
  if (!is_integer(value.setting) && !whole) {
    wrong_type(value, "an integer", range.to_string());
    return std::nullopt;
  }
  const int64_t out = whole ? static_cast<int64_t>(static_cast<double>(value.setting)) : integer_of(value.setting);
  if (static_cast<double>(out) < range.low || static_cast<double>(out) > range.high) {
    out_of_range(value, fmt::to_string(out), range);
    return std::nullopt;
  }
  return out;
}

std::optional<double> read_number(const Value& value, const Range& range) {
  if (!is_integer(value.setting) && value.setting.getType() != Setting::TypeFloat) {
    wrong_type(value, "a number", range.to_string());
    return std::nullopt;
  }
  const double out =
      is_integer(value.setting) ? static_cast<double>(integer_of(value.setting)) : static_cast<double>(value.setting);
  if (!(out >= range.low && out <= range.high)) {
    out_of_range(value, number_in_words(out), range);
    return std::nullopt;
  }
  return out;
}

std::optional<bool> read_boolean(const Value& value) {
  if (value.setting.getType() == Setting::TypeBoolean) return static_cast<bool>(value.setting);
  wrong_type(value, "a boolean", "true or false, without quotes");
  return std::nullopt;
}

std::optional<std::string> read_string(const Value& value, std::string_view allowed) {
  if (value.setting.getType() == Setting::TypeString) return std::string(value.setting.c_str());
  wrong_type(value, "a string", allowed);
  return std::nullopt;
}

std::optional<size_t> read_choice(const Value& value, std::span<const std::string> words) {
  const std::string allowed = quoted_list(words);
  const auto text = read_string(value, allowed);
  if (!text) return std::nullopt;
  for (size_t i = 0; i < words.size(); i++)
    if (words[i] == *text) return i;
  value.fault(
      fmt::format("\"{}\" is not one of its values{}; allowed: {}", *text, did_you_mean(*text, words), allowed));
  return std::nullopt;
}

std::vector<Value> read_members(const Value& group) {
  std::vector<Value> out;
  if (!group.setting.isGroup()) {
    wrong_type(group, "a group", "{ NAME = VALUE; ... }");
    return out;
  }
  for (int i = 0; i < group.setting.getLength(); i++) {
    const bool named_wrong = std::string_view(group.setting[i].getName()).find('*') != std::string_view::npos;
    if (!named_wrong) out.push_back(child(group, i));
  }
  return out;
}

std::vector<Value> read_elements(const Value& list, size_t most) {
  std::vector<Value> out;
  // An empty array cannot be told from an empty list by what it holds.
  if (!list.setting.isList() && !(list.setting.isArray() && list.setting.getLength() == 0)) {
    wrong_type(list, "a list of groups", "( { ... }, { ... } )");
    return out;
  }
  const auto length = static_cast<size_t>(list.setting.getLength());
  if (length > most) {
    list.fault(fmt::format("has {} elements; allowed: at most {}", length, most));
    return out;
  }
  for (size_t i = 0; i < length; i++) out.push_back(child(list, static_cast<int>(i)));
  return out;
}

std::vector<std::string> read_strings(const Value& array, size_t most, std::string_view allowed) {
  return read_array<std::string>(array, most, "an array of strings", "[ \"...\", \"...\" ]",
                                 [&](const Value& element) { return read_string(element, allowed); });
}

std::vector<double> read_numbers(const Value& array, size_t most, const Range& range) {
  return read_array<double>(array, most, "an array of numbers", "[ 0.1, 0.5 ]",
                            [&](const Value& element) { return read_number(element, range); });
}

std::optional<std::chrono::sys_days> read_date(const Value& value) {
  const auto text = read_string(value, kDateAllowed);
  if (!text) return std::nullopt;
  constexpr std::string_view kForm = "0000-00-00";
  const bool formed = text->size() == kForm.size() && std::ranges::equal(*text, kForm, [](char c, char form) {
                        return form == '0' ? c >= '0' && c <= '9' : c == form;
                      });
  if (formed) {
    const std::chrono::year_month_day day{std::chrono::year(std::stoi(text->substr(0, 4))),
                                          std::chrono::month(static_cast<unsigned>(std::stoi(text->substr(5, 2)))),
                                          std::chrono::day(static_cast<unsigned>(std::stoi(text->substr(8, 2))))};
    if (day.ok()) return std::chrono::sys_days(day);
  }
  value.fault(fmt::format("\"{}\" is no day of the calendar; allowed: {}", *text, kDateAllowed));
  return std::nullopt;
}

}  // namespace sluice::config
