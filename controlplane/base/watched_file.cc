// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/watched_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "controlplane/base/descriptor.h"

namespace sluice::control {

namespace {

constexpr size_t kMaxBytes = 64UL << 20;

}  // namespace

std::optional<FileStamp> stamp_of(const std::string& path) {
  struct stat status{};
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  return FileStamp{.device = status.st_dev,
                   .inode = status.st_ino,
                   .bytes = static_cast<uint64_t>(status.st_size),
                   .modified_ns = status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::expected<std::string, std::string> read_regular_file(const std::string& path) {
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

}  // namespace sluice::control
