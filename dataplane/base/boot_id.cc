// SPDX-License-Identifier: Apache-2.0
#include "dataplane/base/boot_id.h"

#include <cstddef>
#include <cstdio>

namespace sluice {

uint64_t read_boot_id() noexcept {
  FILE* file = fopen("/proc/sys/kernel/random/boot_id", "re");
  if (file == nullptr) return 0;
  char text[64] = {};
  const size_t bytes = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (size_t i = 0; i < bytes; i++) hash = (hash ^ static_cast<uint8_t>(text[i])) * 0x100000001b3;
  return hash;
}

}  // namespace sluice
