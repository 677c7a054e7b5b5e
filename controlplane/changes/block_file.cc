// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/block_file.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::control {

namespace {

constexpr size_t kMaxQuotedBytes = 64;
constexpr std::string_view kBlanks = " \t\r\v\f";

/// What stands on a line, fit for a log whatever it is.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, kMaxQuotedBytes));
  std::ranges::replace_if(out, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text.size() > kMaxQuotedBytes ? out + "..." : out;
}

std::string_view trimmed(std::string_view line) {
  line = line.substr(0, line.find('#'));
  const size_t first = line.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

std::expected<std::vector<config::IpPrefix>, std::string> block_list_from(std::string_view text,
                                                                          const std::string& path) {
  std::vector<config::IpPrefix> out;
  for (size_t line = 1; !text.empty(); line++) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view words = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (words.empty()) continue;
    const auto prefix = config::IpPrefix::parse(std::string(words));
    if (!prefix) {
      return std::unexpected(
          fmt::format("{}:{}: \"{}\" {}; allowed: a prefix such as 192.0.2.0/24 or 2001:db8::/32, or an address", path,
                      line, shown(words), shown(prefix.error())));
    }
    if (out.size() == kMaxFilePrefixes) {
      return std::unexpected(fmt::format("{}:{}: has more than {} prefixes", path, line, kMaxFilePrefixes));
    }
    out.push_back(*prefix);
  }
  return out;
}

}  // namespace sluice::control
