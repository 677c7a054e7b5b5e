// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/lcore_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

namespace sluice {
namespace {

std::optional<unsigned> parse_cpu(std::string_view text) {
  unsigned cpu = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cpu);
  if (error != std::errc{} || end != text.data() + text.size() || cpu >= CPU_SETSIZE) return std::nullopt;
  return cpu;
}

/// The workers' CPUs when the operator named none.
std::expected<std::vector<unsigned>, std::string> default_cpus(uint32_t workers,
                                                               const std::vector<unsigned>& available) {
  if (available.size() == 1 && workers == 1) return available;
  if (workers > available.size() - 1) {
    return std::unexpected(fmt::format(
        "workers = {} needs as many CPUs besides the main lcore's, and {} are left; lower workers, or name the "
        "workers' CPUs in lcores",
        workers, available.size() - 1));
  }
  return std::vector<unsigned>(available.begin() + 1, available.begin() + 1 + workers);
}

}  // namespace

std::expected<std::vector<unsigned>, std::string> parse_cpu_list(const std::string& text) {
  std::vector<unsigned> cpus;
  std::string_view rest = text;
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const size_t dash = item.find('-');
    const auto first = parse_cpu(item.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_cpu(item.substr(dash + 1));
    if (!first || !last || *last < *first) {
      return std::unexpected(
          fmt::format("lcores = \"{}\": \"{}\" is no CPU; write \"1\", \"1,3\" or \"2-5,8\"", text, item));
    }
    for (unsigned cpu = *first; cpu <= *last; cpu++) {
      if (std::ranges::find(cpus, cpu) != cpus.end()) {
        return std::unexpected(fmt::format("lcores = \"{}\": CPU {} stands twice", text, cpu));
      }
      cpus.push_back(cpu);
    }
    if (comma == std::string_view::npos) return cpus;
    rest.remove_prefix(comma + 1);
  }
}

std::expected<LcorePlan, std::string> plan_lcores(uint32_t workers, const std::string& lcores,
                                                  const std::vector<unsigned>& available) {
  auto cpus = lcores.empty() ? default_cpus(workers, available) : parse_cpu_list(lcores);
  if (!cpus) return std::unexpected(cpus.error());
  if (cpus->size() != workers) {
    return std::unexpected(
        fmt::format("lcores = \"{}\" names {} CPUs for {} workers; name one for each", lcores, cpus->size(), workers));
  }
  for (const unsigned cpu : *cpus) {
    if (!std::ranges::binary_search(available, cpu)) {
      return std::unexpected(fmt::format("lcores = \"{}\": CPU {} is not available to this process; available: {}",
                                         lcores, cpu, fmt::join(available, ",")));
    }
  }
  LcorePlan plan{.main_cpu = available.front(), .worker_cpus = *std::move(cpus), .main_shares = true};
  for (const unsigned cpu : available) {
    if (std::ranges::find(plan.worker_cpus, cpu) != plan.worker_cpus.end()) continue;
    plan.main_cpu = cpu;
    plan.main_shares = false;
    break;
  }
  return plan;
}

std::vector<unsigned> available_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<unsigned> cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++) {
      if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

}  // namespace sluice
