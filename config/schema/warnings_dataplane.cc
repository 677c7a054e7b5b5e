// SPDX-License-Identifier: Apache-2.0
//
// Warnings of `dataplane`: timers that a mail session does not fit in, and memory for labs under a card.
#include <fmt/format.h>

#include "config/bounds.h"
#include "config/schema/warnings.h"

namespace sluice::config {

namespace {

/// Until a SYN-ACK that was lost twice is there: RFC 6298 waits 1 s, then 2 s.
constexpr uint32_t kMinHandshakeSeconds = 4;

/// A device named by its PCI address, "3b:00.0" or "0000:3b:00.0".
bool is_pci(const Port& port) {
  return port.device.find(':') != std::string::npos && !port.device.starts_with("net_");
}

}  // namespace

void warn_of_dataplane(const Config& config, Findings& findings) {
  const Dataplane& dataplane = config.dataplane;
  const Timers& timers = dataplane.timers;
  if (timers.established < kMinEstablishedSeconds)
    findings.warn("dataplane.timers.established",
                  fmt::format("{} s cuts sessions that are well: a server may take 10 minutes to answer the end of a "
                              "message, and a client 5 for the next command (RFC 5321 section 4.5.3.2); usual: 7440",
                              timers.established));
  if (timers.handshake < kMinHandshakeSeconds)
    findings.warn("dataplane.timers.handshake",
                  fmt::format("{} s is over before a SYN that was lost twice is sent again (1 and 2 s, RFC 6298); "
                              "usual: 60",
                              timers.handshake));
  if (dataplane.hugepages) return;
  for (size_t i = 0; i < dataplane.ports.size(); i++) {
    if (!is_pci(dataplane.ports[i])) continue;
    findings.warn("dataplane.hugepages",
                  fmt::format("false, and port \"{}\" is a card ({}): ordinary pages are for labs without one",
                              dataplane.ports[i].name, dataplane.ports[i].device));
    return;
  }
}

}  // namespace sluice::config
