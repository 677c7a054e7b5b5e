// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/runtime_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "dataplane/base/setup_error.h"

namespace sluice {

Descriptor claim_runtime_directory(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) throw SetupError(fmt::format("runtime directory {}: {}", directory, error.message()));
  const std::string path = directory + "/dataplane.lock";
  Descriptor lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) throw SetupError(fmt::format("{}: {}", path, std::strerror(errno)));
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    throw SetupError(
        fmt::format("{} is held by a running sluice-dataplane; stop it, or give this one another instance name", path));
  }
  return lock;
}

}  // namespace sluice
