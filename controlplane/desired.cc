// SPDX-License-Identifier: Apache-2.0
#include "controlplane/desired.h"

#include <xxhash.h>

#include <string>

namespace sluice::control {

namespace {

/// XXH64 of the parts, each ended by a NUL, which no name can hold. 0 means "free" on the channel.
uint64_t hash_parts(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text.append(part).push_back('\0');
  const uint64_t hash = XXH64(text.data(), text.size(), 0);
  return hash == 0 ? 1 : hash;
}

std::string_view bytes_of(const Endpoint& endpoint) {
  return {reinterpret_cast<const char*>(&endpoint), sizeof endpoint};
}

}  // namespace

uint64_t service_key(const Endpoint& vip) {
  return hash_parts({"service", bytes_of(vip)});
}

uint64_t backend_key(std::string_view pool, std::string_view name, const Endpoint& endpoint, std::string_view variant) {
  return hash_parts({"backend", pool, name, bytes_of(endpoint), variant});
}

uint64_t local_key(const Address& address, uint8_t port_index) {
  return hash_parts({"local", bytes_of({address, Be16::of(port_index)})});
}

}  // namespace sluice::control
