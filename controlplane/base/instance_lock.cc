// SPDX-License-Identifier: Apache-2.0
#include "controlplane/base/instance_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace sluice::control {

namespace {

/// The process id that the holder wrote, or "another process".
std::string holder_of(int lock) {
  std::array<char, 32> text{};
  const ssize_t n = pread(lock, text.data(), text.size() - 1, 0);
  return n > 0 ? "process " + std::string(text.data(), static_cast<size_t>(n)) : "another process";
}

}  // namespace

std::expected<Descriptor, std::string> claim_instance(const std::string& directory) {
  std::error_code error;
  const mode_t before = umask(022);
  std::filesystem::create_directories(directory, error);
  umask(before);
  if (error)
    return std::unexpected(fmt::format("cannot make the runtime directory {}: {}", directory, error.message()));
  const std::string path = directory + "/control.lock";
  Descriptor lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return std::unexpected(fmt::format("cannot open {}: {}", path, std::strerror(errno)));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return std::unexpected(
        fmt::format("sluice-control already runs for this instance ({} holds {}); stop it, or give this one another "
                    "instance name",
                    holder_of(lock.get()), path));
  }
  const std::string pid = std::to_string(getpid());
  if (ftruncate(lock.get(), 0) != 0 || pwrite(lock.get(), pid.data(), pid.size(), 0) < 0) {
    return std::unexpected(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
  }
  return lock;
}

}  // namespace sluice::control
