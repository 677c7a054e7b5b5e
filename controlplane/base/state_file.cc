// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/state_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "controlplane/base/descriptor.h"

namespace sluice::control {

namespace {

constexpr mode_t kFileMode = 0640;
constexpr auto kDirectoryMode = static_cast<std::filesystem::perms>(0750);
constexpr size_t kMaxBytes = 64UL << 20;

std::unexpected<std::string> failure(std::string_view what, const std::string& path) {
  return std::unexpected(fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(file, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

/// A rename is on the disk when its directory is.
bool sync_directory_of(const std::string& path) {
  const std::string directory = std::filesystem::path(path).parent_path().string();
  const Descriptor handle(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return handle && ::fsync(handle.get()) == 0;
}

}  // namespace

std::expected<void, std::string> make_state_directory(const std::string& directory) {
  std::error_code error;
  if (std::filesystem::is_directory(directory, error)) return {};
  std::filesystem::create_directories(directory, error);
  if (!error) std::filesystem::permissions(directory, kDirectoryMode, error);
  if (error) return std::unexpected(fmt::format("cannot make {}: {}", directory, error.message()));
  return {};
}

std::expected<void, std::string> save_state(const std::string& path, std::string_view text) {
  const std::string beside = path + ".new";
  {
    const Descriptor file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kFileMode));
    if (!file || !write_all(file.get(), text) || ::fsync(file.get()) != 0) return failure("write", beside);
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return failure("replace", path);
  if (!sync_directory_of(path)) return failure("sync the directory of", path);
  return {};
}

std::expected<std::optional<std::string>, std::string> read_state(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!file && errno == ENOENT) return std::nullopt;
  if (!file) return failure("open", path);
  std::string out;
  for (;;) {
    const size_t had = out.size();
    out.resize(had + 65536);
    const ssize_t n = ::read(file.get(), out.data() + had, out.size() - had);
    out.resize(had + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failure("read", path);
    if (n == 0) return out;
    if (out.size() > kMaxBytes) return std::unexpected(fmt::format("{} is larger than 64 MiB", path));
  }
}

std::string set_aside(const std::string& path) {
  std::string aside = path + ".unreadable";
  (void)::rename(path.c_str(), aside.c_str());
  return aside;
}

}  // namespace sluice::control
