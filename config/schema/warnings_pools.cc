// SPDX-License-Identifier: Apache-2.0
//
// Warnings of `pools`: weights and tiers that give nobody anything, bounds that never or always hold.
#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "config/schema/warnings.h"

namespace sluice::config {

namespace {

void warn_of_weights(const Pool& pool, const std::string& path, Findings& findings) {
  if (pool.discover) return;  // those that are discovered have weights of their own
  const auto has_weight = [](const Backend& backend) { return backend.weight != 0; };
  if (std::ranges::none_of(pool.backends, has_weight))
    return findings.warn(path + ".backends", "every weight is 0: nobody gets a new session");
  const uint32_t lowest = std::ranges::min(pool.backends, {}, &Backend::tier).tier;
  if (lowest != 0)
    return findings.warn(path + ".backends",
                         fmt::format("no backend is in tier 0: those of tier {} are spares of nobody", lowest));
  const auto takes = [&](const Backend& backend) { return backend.tier == lowest && backend.weight != 0; };
  if (std::ranges::none_of(pool.backends, takes))
    findings.warn(path + ".backends",
                  "every weight in tier 0 is 0: its backends take no session, and the spares of higher tiers are to "
                  "wait until they are out");
}

void warn_of_bounds(const Pool& pool, const std::string& path, Findings& findings) {
  const size_t backends = pool.backends.size();
  if (backends > 1 && pool.min_healthy == backends && !pool.discover)
    findings.warn(path + ".min_healthy",
                  fmt::format("{} is all of them: the first that fails takes the pool out of service", backends));
  if (pool.panic_share >= 1 && findings.given(path + ".panic_hold"))
    findings.warn(path + ".panic_hold",
                  "more than a panic_share of 1 cannot fail: this is for failures of the whole way to the pool alone");
  if (backends > 1 && !pool.discover && pool.panic_share * static_cast<double>(backends) < 1 &&
      pool.panic_hold.count() > 0)
    findings.warn(path + ".panic_share",
                  fmt::format("{:g} of {} backends is less than one: each failure is taken for one of the way, and the "
                              "backend goes on to get sessions for panic_hold; usual: 0.5",
                              pool.panic_share, backends));
}

}  // namespace

void warn_of_pools(const Config& config, Findings& findings) {
  for (size_t i = 0; i < config.pools.size(); i++) {
    const Pool& pool = config.pools[i];
    const std::string path = fmt::format("pools[{}]", i);
    warn_of_weights(pool, path, findings);
    warn_of_bounds(pool, path, findings);
  }
}

}  // namespace sluice::config
