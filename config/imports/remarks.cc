// SPDX-License-Identifier: Apache-2.0
#include "config/imports/remarks.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

namespace sluice::config::imports {

namespace {

std::string_view word_of(Remark::Kind kind) {
  return kind == Remark::Kind::kWarning ? "warning" : kind == Remark::Kind::kToDo ? "to do" : "left out";
}

}  // namespace

std::string Remark::to_string(const std::string& file) const {
  if (line == 0) return fmt::format("{}: {}: {}", file, word_of(kind), text);
  return fmt::format("{}:{}: {}: {}", file, line, word_of(kind), text);
}

std::string printable(std::string text) {
  std::ranges::replace_if(text, [](unsigned char c) { return c < 0x20 || c >= 0x7f; }, '?');
  return text;
}

void Remarks::add(unsigned line, Remark::Kind kind, const std::string& text) {
  constexpr size_t kLongest = 400;  // a remark may quote any word of the file
  all_.push_back({line, kind, printable(text.size() <= kLongest ? text : fmt::format("{:.{}}...", text, kLongest))});
}

std::vector<Remark> Remarks::sorted() && {
  if (passed_over_ != 0)
    leave_out(0, fmt::format("{} line{} about {}'s own process, log or sockets, with nothing to convert", passed_over_,
                             passed_over_ == 1 ? "" : "s", program_));
  std::ranges::stable_sort(all_, {}, &Remark::line);
  std::set<std::tuple<unsigned, Remark::Kind, std::string>> seen;
  std::erase_if(all_, [&](const Remark& each) { return !seen.emplace(each.line, each.kind, each.text).second; });
  return std::move(all_);
}

}  // namespace sluice::config::imports
