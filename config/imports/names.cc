// SPDX-License-Identifier: Apache-2.0
#include "config/imports/names.h"

#include <algorithm>

namespace sluice::config::imports {

namespace {

constexpr size_t kMaxName = 63;
constexpr size_t kMaxNumber = 8;  // room for "-1234567"

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::string allowed(const std::string& wanted, size_t longest) {
  std::string out = wanted.substr(0, longest);
  std::ranges::replace_if(out, [](char c) { return !is_alphanumeric(c) && c != '.' && c != '_' && c != '-'; }, '-');
  if (out.empty() || !is_alphanumeric(out.front())) out = "x" + out.substr(0, longest - 1);
  return out;
}

}  // namespace

std::string Names::take(const std::string& wanted) {
  std::string name = allowed(wanted, kMaxName);
  if (taken_.emplace(name, 1).second) return name;
  const std::string stem = allowed(wanted, kMaxName - kMaxNumber);
  size_t& number = taken_[allowed(wanted, kMaxName)];
  do {
    name = stem + "-" + std::to_string(++number);
  } while (!taken_.emplace(name, 1).second);
  return name;
}

std::string check_name(const std::string& pool) {
  std::string out = pool;
  std::ranges::replace(out, '.', '_');
  return out.front() >= '0' && out.front() <= '9' ? "c" + out.substr(0, kMaxName - 1) : out;
}

}  // namespace sluice::config::imports
