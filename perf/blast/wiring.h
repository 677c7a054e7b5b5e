// SPDX-License-Identifier: Apache-2.0
//
// The generator's devices: two of DPDK's, of any kind, or the two ends of a wire within the process.
#pragma once

#include <memory>
#include <vector>

#include "dataplane/device/device.h"
#include "dataplane/device/eal.h"
#include "perf/blast/link.h"
#include "perf/blast/options.h"

namespace sluice::blast {

class Wiring {
 public:
  /// Starts the EAL and the devices. Throws SetupError.
  explicit Wiring(const Options& options);
  ~Wiring();
  Wiring(const Wiring&) = delete;

  Link& front() { return *front_; }
  /// Null if the backends are somebody else's.
  Link* back() { return back_.get(); }

 private:
  void open_devices(const Options& options);
  void make_wire();
  std::unique_ptr<Link> link_of(const Device& device) const;

  std::unique_ptr<Eal> eal_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<uint16_t> ring_devices_;
  rte_mempool* pool_ = nullptr;
  std::unique_ptr<Link> front_, back_;
};

}  // namespace sluice::blast
