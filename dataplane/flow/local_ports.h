// SPDX-License-Identifier: Apache-2.0
//
// The ports of our own addresses that fullnat uses, dealt out to the workers: a reply's destination port tells whose
// flow it belongs to, without any table.
#pragma once

#include <cstdint>

#include "dataplane/contract/messages.h"

namespace sluice {

inline constexpr uint32_t kLocalPorts = channel::kLastLocalPort - channel::kFirstLocalPort + 1;

constexpr bool is_local_port(Be16 port) {
  return port.host() >= channel::kFirstLocalPort && port.host() <= channel::kLastLocalPort;
}

/// The worker, of `workers`, whose flows use a local port.
constexpr uint32_t local_port_owner(Be16 port, uint32_t workers) {
  return (uint32_t{port.host()} - channel::kFirstLocalPort) % workers;
}

/// How many local ports a worker has.
constexpr uint32_t local_ports_of(uint32_t worker, uint32_t workers) {
  return (kLocalPorts - worker + workers - 1) / workers;
}

/// The n-th of them; n < local_ports_of(worker, workers).
constexpr Be16 local_port(uint32_t n, uint32_t worker, uint32_t workers) {
  return Be16::of(static_cast<uint16_t>(channel::kFirstLocalPort + worker + n * workers));
}

}  // namespace sluice
