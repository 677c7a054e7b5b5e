// SPDX-License-Identifier: Apache-2.0
#include "config/model.h"

#include <algorithm>
#include <cstdlib>

#include "config/bounds.h"

namespace sluice::config {

namespace {

template <class T>
const T* find_named(const std::vector<T>& things, const std::string& name) {
  const auto found = std::ranges::find(things, name, &T::name);
  return found == things.end() ? nullptr : &*found;
}

std::string from_environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

}  // namespace

const Pool* Config::find_pool(const std::string& name) const {
  return find_named(pools, name);
}

const Check* Config::find_check(const std::string& name) const {
  return find_named(checks, name);
}

std::vector<Service> Config::services_and_routes() const {
  std::vector<Service> out = services;
  for (const Route& route : sources.routes) {
    const Service* service = find_named(services, route.service);
    if (service == nullptr) continue;
    out.push_back(*service);
    out.back().pool = route.pool;
  }
  return out;
}

bool Config::clients_speak_first(const Service& service) const {
  if (service.port == kImplicitTlsPort) return true;
  const Pool* pool = find_pool(service.pool);
  const Check* check = find_check(service.check.empty() && pool != nullptr ? pool->check : service.check);
  return check != nullptr && check->type == CheckType::kSmtps;
}

std::string Config::runtime_directory() const {
  return from_environment("SLUICE_RUNTIME_DIR", "/run/sluice") + "/" + instance;
}

std::string Config::state_directory() const {
  return from_environment("SLUICE_STATE_DIR", "/var/lib/sluice") + "/" + instance;
}

std::string Config::channel_socket() const {
  return runtime_directory() + "/channel.sock";
}

}  // namespace sluice::config
