// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/key_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "dataplane/base/setup_error.h"
#include "dataplane/base/shared_memory.h"

namespace sluice {
namespace {

constexpr mode_t kForbiddenModes = S_IRWXO | S_IWGRP | S_IXGRP;

}  // namespace

std::vector<uint8_t> read_key_file(const std::string& path) {
  const auto fault = [&path](const std::string& what) {
    return SetupError(fmt::format("fleet.peers.key_file {}: {}", path, what));
  };
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat info{};
  if (!file || fstat(file.get(), &info) != 0) throw fault(std::strerror(errno));
  if (!S_ISREG(info.st_mode)) throw fault("is not a file");
  if (info.st_uid != 0 && info.st_uid != geteuid()) throw fault("belongs to another user");
  if ((info.st_mode & kForbiddenModes) != 0) {
    throw fault(fmt::format("has mode {:04o}; allowed: what its owner may do, and reading for its group: 0600, 0640",
                            info.st_mode & 07777));
  }
  std::vector<uint8_t> out(kMostKeyBytes + 1);
  const ssize_t n = read(file.get(), out.data(), out.size());
  if (n < 0) throw fault(std::strerror(errno));
  out.resize(static_cast<size_t>(n));
  if (out.size() < kLeastKeyBytes || out.size() > kMostKeyBytes) {
    throw fault(fmt::format("holds {}{} bytes; allowed: {} to {}", out.size() > kMostKeyBytes ? "more than " : "",
                            out.size() > kMostKeyBytes ? kMostKeyBytes : out.size(), kLeastKeyBytes, kMostKeyBytes));
  }
  return out;
}

}  // namespace sluice
