// SPDX-License-Identifier: Apache-2.0
#include "controlplane/changes/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "config/file/suggest.h"

namespace sluice::control {

namespace {

template <class T>
std::vector<std::string> names_of(const std::vector<T>& things) {
  std::vector<std::string> out;
  out.reserve(things.size());
  for (const T& each : things) out.push_back(each.name);
  return out;
}

template <class T>
std::expected<const T*, std::string> find_named(const std::vector<T>& things, std::string_view kind,
                                                const std::string& name) {
  const auto found = std::ranges::find(things, name, &T::name);
  if (found != things.end()) return &*found;
  const auto known = names_of(things);
  return std::unexpected(fmt::format("there is no {} \"{}\"{}; there are {}", kind, name,
                                     config::did_you_mean(name, known), config::quoted_list(known)));
}

/// Whether some service reaches `backend` of `pool` on `port`.
bool has_port(const config::Config& config, const config::Pool& pool, const config::Backend& backend, uint16_t port) {
  return std::ranges::any_of(config.services_and_routes(), [&](const config::Service& service) {
    return service.pool == pool.name && backend.port.value_or(service.port) == port;
  });
}

/// "25" to 25.
std::optional<uint16_t> port_from(std::string_view text) {
  uint16_t out = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  const auto parsed = std::from_chars(begin, end, out);
  if (parsed.ec != std::errc() || parsed.ptr != end || out == 0) return std::nullopt;
  return out;
}

/// "POOL/NAME" of every backend called `name`, or of all backends for "".
std::vector<std::string> full_names(const config::Config& config, std::string_view name) {
  std::vector<std::string> out;
  for (const config::Pool& pool : config.pools) {
    for (const config::Backend& backend : pool.backends) {
      if (name.empty() || backend.name == name) out.push_back(pool.name + "/" + backend.name);
    }
  }
  return out;
}

}  // namespace

std::string BackendName::to_string() const {
  return port ? fmt::format("{}/{}:{}", pool, name, *port) : fmt::format("{}/{}", pool, name);
}

std::expected<BackendName, std::string> find_backend(const config::Config& config, std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view whole = text.substr(0, colon);
  std::vector<std::string> found = full_names(config, whole.substr(whole.find('/') + 1));
  if (whole.find('/') != std::string_view::npos) std::erase_if(found, [&](const auto& full) { return full != whole; });
  if (found.empty() || whole.empty()) {
    const auto known = full_names(config, "");
    return std::unexpected(
        fmt::format("there is no backend \"{}\"{}", whole, config::did_you_mean(std::string(whole), known)));
  }
  if (found.size() > 1) {
    return std::unexpected(
        fmt::format("several pools have a backend \"{}\"; say which: {}", whole, config::quoted_list(found)));
  }
  const size_t slash = found[0].find('/');
  BackendName out{found[0].substr(0, slash), found[0].substr(slash + 1), std::nullopt};
  if (colon == std::string_view::npos) return out;
  out.port = port_from(text.substr(colon + 1));
  const config::Pool& pool = *config.find_pool(out.pool);
  const auto backend = std::ranges::find(pool.backends, out.name, &config::Backend::name);
  if (out.port && has_port(config, pool, *backend, *out.port)) return out;
  return std::unexpected(
      fmt::format("no service reaches backend \"{}\" on port \"{}\"", found[0], text.substr(colon + 1)));
}

std::expected<const config::Pool*, std::string> find_pool(const config::Config& config, const std::string& text) {
  return find_named(config.pools, "pool", text);
}

std::expected<const config::Service*, std::string> find_service(const config::Config& config, const std::string& text) {
  return find_named(config.services, "service", text);
}

}  // namespace sluice::control
