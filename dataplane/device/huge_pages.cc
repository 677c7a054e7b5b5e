// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/huge_pages.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace sluice {
namespace {

/// Size in KiB of a directory name such as hugepages-2048kB; 0 if it is none.
size_t page_kb(const std::string& name) {
  constexpr std::string_view kPrefix = "hugepages-";
  if (!name.starts_with(kPrefix)) return 0;
  return std::strtoull(name.c_str() + kPrefix.size(), nullptr, 10);
}

}  // namespace

size_t free_hugepages_mb(const std::string& directory) {
  size_t total_kb = 0;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    std::ifstream file(entry.path() / "free_hugepages");
    size_t pages = 0;
    if (file >> pages) total_kb += pages * page_kb(entry.path().filename());
  }
  return total_kb / 1024;
}

std::string lacking_node(std::span<const unsigned> cpus, size_t memory_mb, const std::string& nodes) {
  for (unsigned node = 0; std::filesystem::exists(fmt::format("{}/node{}", nodes, node)); node++) {
    const std::string directory = fmt::format("{}/node{}", nodes, node);
    const size_t free_mb = free_hugepages_mb(directory + "/hugepages");
    if (free_mb >= memory_mb) continue;
    for (const unsigned cpu : cpus) {
      if (!std::filesystem::exists(fmt::format("{}/cpu{}", directory, cpu))) continue;
      return fmt::format(
          "CPU {} of a worker is on NUMA node {}, where {} MiB of huge pages are free, and memory_mb = {} are needed; "
          "reserve them there (`echo {} > {}/hugepages/hugepages-2048kB/nr_hugepages`), or choose dataplane.lcores "
          "from the card's node ({}/node*/cpulist)",
          cpu, node, free_mb, memory_mb, (memory_mb + 1) / 2 + 64, directory, nodes);
    }
  }
  return "";
}

}  // namespace sluice
