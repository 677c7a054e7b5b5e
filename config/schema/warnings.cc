// SPDX-License-Identifier: Apache-2.0
#include "config/schema/warnings.h"

#include <array>
#include <string>
#include <string_view>

namespace sluice::config {

void warn_of_what_is_unused(const Config& config, Findings& findings) {
  const auto first_given = [&](std::string_view group, const auto& settings) -> std::string {
    for (const char* setting : settings) {
      std::string path = std::string(group) + "." + setting;
      if (findings.given(path)) return path;
    }
    return "";
  };
  constexpr std::array kOfAnnounce{"table",     "protocol", "metric",   "draining_metric",
                                   "hold_down", "require",  "last_node"};
  if (config.announce.mode == AnnounceMode::kNone) {
    if (const std::string path = first_given("announce", kOfAnnounce); !path.empty())
      findings.warn(path, "nothing is announced without a mode; usual: \"routes\", \"address\"");
  }
  constexpr std::array kOfRoutes{"table", "metric", "draining_metric"};
  if (config.announce.mode == AnnounceMode::kAddress) {
    if (const std::string path = first_given("announce", kOfRoutes); !path.empty())
      findings.warn(path, "is of routes alone, and with mode = \"address\" there are none");
  }
  constexpr std::array kOfRecords{"share", "rotate_mb", "keep"};
  constexpr std::array kOfFiles{"rotate_mb", "keep"};
  if (config.records.to.empty()) {
    if (const std::string path = first_given("records", kOfRecords); !path.empty())
      findings.warn(path, "nothing is recorded without `to`");
  } else if (!config.records.to.starts_with("file:")) {
    if (const std::string path = first_given("records", kOfFiles); !path.empty())
      findings.warn(path, "is of files alone, and `to` names none");
  }
  const bool has_rules = !config.sources.limits.empty() || !config.sources.block_file.empty();
  for (const IpPrefix& prefix : config.sources.allow) {
    const unsigned whole = prefix.address.is_v4() ? 96 : 0;  // bits that a prefix of length 0 has in our form
    if (has_rules && prefix.bits <= whole)
      findings.warn("sources.allow", prefix.to_string() + " exempts everybody: nothing is limited or blocked");
  }
}

void add_warnings(const Config& config, Findings& findings) {
  warn_of_dataplane(config, findings);
  warn_of_checks(config, findings);
  warn_of_pools(config, findings);
  warn_of_services(config, findings);
  warn_of_fleet(config, findings);
  warn_of_what_is_unused(config, findings);
}

}  // namespace sluice::config
