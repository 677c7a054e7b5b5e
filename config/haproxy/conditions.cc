// SPDX-License-Identifier: Apache-2.0
#include "config/haproxy/conditions.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "config/haproxy/values.h"

namespace sluice::config::haproxy {

namespace {

/// Nothing where it is more than a number.
std::optional<bool> value_of(const std::string& condition) {
  if (condition.empty()) return false;
  const size_t begin = std::min(condition.find_first_not_of("! "), condition.size());
  const bool negated = std::count(condition.begin(), condition.begin() + static_cast<ptrdiff_t>(begin), '!') % 2 != 0;
  const auto number = parse_number(std::string_view(condition).substr(begin), 0, UINT32_MAX);
  return number ? std::optional((*number != 0) != negated) : std::nullopt;
}

}  // namespace

bool Conditions::take(const Line& line, Remarks& remarks) {
  const std::string& word = line.word(0);
  if (word == ".if") {
    open_.push_back(State::kOver);
    closed_++;
    if (closed_ == 1) enter(judged(line, remarks));
  } else if (word == ".elif" || word == ".else" || word == ".endif") {
    if (open_.empty()) {
      remarks.leave_out(line.number, fmt::format("{} without .if", word));
    } else if (word == ".endif") {
      enter(State::kHolds);
      open_.pop_back();
    } else if (open_.back() != State::kMayHold) {
      enter(State::kOver);
    } else {
      enter(word == ".else" ? State::kHolds : judged(line, remarks));
    }
  } else {
    return false;
  }
  return true;
}

void Conditions::enter(State state) {
  closed_ += static_cast<size_t>(state != State::kHolds);
  closed_ -= static_cast<size_t>(open_.back() != State::kHolds);
  open_.back() = state;
}

Conditions::State Conditions::judged(const Line& line, Remarks& remarks) {
  const auto value = value_of(line.rest(1));
  if (value) return *value ? State::kHolds : State::kMayHold;
  remarks.warn(line.number, fmt::format("{} {}: whether the condition holds is known where HAProxy runs alone; nothing "
                                        "from here to its .endif is taken: leave what is meant, without the condition",
                                        line.word(0), line.rest(1)));
  return State::kOver;
}

}  // namespace sluice::config::haproxy
