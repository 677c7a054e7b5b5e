// SPDX-License-Identifier: Apache-2.0
#include "config/model.h"

#include <algorithm>
#include <cstdlib>

namespace sluice::config {

namespace {

template <class T>
const T* find_named(const std::vector<T>& things, const std::string& name) {
  const auto found = std::ranges::find(things, name, &T::name);
  return found == things.end() ? nullptr : &*found;
}

}  // namespace

const Pool* Config::find_pool(const std::string& name) const {
  return find_named(pools, name);
}

const Check* Config::find_check(const std::string& name) const {
  return find_named(checks, name);
}

std::string Config::runtime_directory() const {
  const char* base = std::getenv("SLUICE_RUNTIME_DIR");
  return std::string(base != nullptr && *base != '\0' ? base : "/run/sluice") + "/" + instance;
}

std::string Config::channel_socket() const {
  return runtime_directory() + "/channel.sock";
}

}  // namespace sluice::config
