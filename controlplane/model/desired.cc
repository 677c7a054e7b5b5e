// SPDX-License-Identifier: Apache-2.0
#include "controlplane/model/desired.h"

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

uint64_t local_key(const Address& address, std::string_view twin) {
  return hash_parts({"local", bytes_of({address, Be16{}}), twin});
}

uint64_t table_digest(std::span<const Endpoint> endpoints, std::span<const uint16_t> entries, uint64_t secret) {
  if (entries.empty()) return 0;
  std::vector<uint64_t> of_member;
  for (const Endpoint& endpoint : endpoints) of_member.push_back(hash_parts({"member", bytes_of(endpoint)}));
  std::vector<uint64_t> of_entry;
  of_entry.reserve(entries.size());
  for (const uint16_t member : entries) of_entry.push_back(member < of_member.size() ? of_member[member] : 0);
  return XXH64(of_entry.data(), of_entry.size() * sizeof of_entry[0], secret);
}

}  // namespace sluice::control
