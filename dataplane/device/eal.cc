// SPDX-License-Identifier: Apache-2.0
#include "dataplane/device/eal.h"

#include <fmt/format.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sys/resource.h>

#include <csignal>

#include "dataplane/base/log.h"
#include "dataplane/base/setup_error.h"
#include "dataplane/device/huge_pages.h"
#include "dataplane/device/privileges.h"

namespace sluice {
namespace {

/// EAL warns of every size of huge page of which there are none.
int init_eal(std::vector<char*>& argv) {
  const QuietDpdk quiet(false);
  return rte_eal_init(static_cast<int>(argv.size()), argv.data());
}

}  // namespace

void check_environment(const DataplaneOptions& options, const LcorePlan& lcores) {
  const uint64_t needed = needed_capabilities(options.ports);
  if (const uint64_t missing = needed & ~effective_capabilities(); missing != 0) {
    throw SetupError(fmt::format(
        "the devices and kernel twins need root or {}, of which {} is missing; run with sudo, or give it to the "
        "systemd unit (for AF_XDP: /usr/share/doc/sluice/examples/af_xdp.conf)",
        capability_names(needed), capability_names(missing)));
  }
  if (!options.hugepages) return;
  const size_t free_mb = free_hugepages_mb();
  if (free_mb < options.memory_mb) {
    throw SetupError(fmt::format(
        "hugepages = true needs memory_mb = {} MiB of free huge pages, and {} MiB are free; reserve more (`sysctl "
        "vm.nr_hugepages={}` for pages of 2 MiB), lower memory_mb, or set hugepages = false (ordinary pages, for labs)",
        options.memory_mb, free_mb, (options.memory_mb + 1) / 2 + 64));
  }
  if (const std::string lacking = lacking_node(lcores.worker_cpus, options.memory_mb); !lacking.empty()) {
    throw SetupError("hugepages = true: " + lacking);
  }
}

Eal::Eal(std::vector<std::string> arguments) : arguments_(std::move(arguments)) {
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  setrlimit(RLIMIT_MEMLOCK, &unlimited);  // AF_XDP pins its buffers; where this is refused, its own error tells
  redirect_dpdk_log();

  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::vector<char*> argv;
  argv.reserve(arguments_.size());
  for (std::string& argument : arguments_) argv.push_back(argument.data());
  const int result = init_eal(argv);
  const int error = rte_errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (result >= 0) return;

  std::string line;
  for (const std::string& argument : arguments_) line += " " + argument;
  throw SetupError(
      fmt::format("DPDK did not start: {} ({}); it was given:{}", last_dpdk_error(), rte_strerror(error), line));
}

Eal::~Eal() {
  rte_eal_cleanup();
}

}  // namespace sluice
