// SPDX-License-Identifier: Apache-2.0
//
// A setting that puts a finding right and outlives a reboot. Where it is written is for `sluicectl setup` to know.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::ctl {

struct Remedy {
  enum class Kind : uint8_t {
    kSysctl,       // name "net.ipv4.ip_forward", value "1"
    kModule,       // of the kernel; name "vfio-pci", no value
    kDriver,       // of a card; name "0000:3b:00.0", value "vfio-pci 8086:10fb": by what it is known
    kBoot,         // a word of the kernel's command line; name "isolcpus", value "2,3"
    kControlUnit,  // of sluice-control's unit; name "LimitNOFILE", value "65536"
  };
  Kind kind = Kind::kSysctl;
  std::string name;
  std::string value;

  bool operator==(const Remedy&) const = default;
};
using Remedies = std::vector<Remedy>;

}  // namespace sluice::ctl
