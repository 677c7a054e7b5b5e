// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/block_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "controlplane/base/descriptor.h"

namespace sluice::control {

namespace {

constexpr size_t kMaxBytes = 64UL << 20;
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

std::optional<FileStamp> stamp_of(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  return FileStamp{.device = status.st_dev,
                   .inode = status.st_ino,
                   .bytes = static_cast<uint64_t>(status.st_size),
                   .modified_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::expected<std::string, std::string> read_block_file(const std::string& path) {
  const auto refuse = [&](std::string_view why) { return std::unexpected(fmt::format("{}: {}", path, why)); };
  // Not to wait for whoever may write into a pipe.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat status{};
  if (!file || fstat(file.get(), &status) != 0) return refuse(std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return refuse("is no regular file");
  std::string out;
  for (;;) {
    const size_t had = out.size();
    if (had > kMaxBytes) return refuse("is larger than 64 MiB");
    out.resize(had + (1UL << 20));
    const ssize_t n = read(file.get(), out.data() + had, out.size() - had);
    out.resize(had + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n == 0) return out;
    if (n < 0 && errno != EINTR) return refuse(std::strerror(errno));
  }
}

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
