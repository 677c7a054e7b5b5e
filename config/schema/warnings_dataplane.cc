// SPDX-License-Identifier: Apache-2.0
//
// Warnings of `dataplane`: timers that a mail session does not fit in, and memory for labs under a card.
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "config/bounds.h"
#include "config/schema/devices.h"
#include "config/schema/warnings.h"

namespace sluice::config {

namespace {

/// Until a SYN-ACK that was lost twice is there: RFC 6298 waits 1 s, then 2 s.
constexpr uint32_t kMinHandshakeSeconds = 4;

/// The first card under a port, or "".
std::string card_of(const Port& port) {
  const std::vector<std::string> devices = devices_of(port);
  const auto card =
      std::ranges::find_if(devices, [](const std::string& device) { return !pci_address(device).empty(); });
  return card == devices.end() ? "" : *card;
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
    const std::string card = card_of(dataplane.ports[i]);
    if (card.empty()) continue;
    findings.warn("dataplane.hugepages",
                  fmt::format("false, and port \"{}\" is a card ({}): ordinary pages are for labs without one",
                              dataplane.ports[i].name, card));
    return;
  }
}

}  // namespace sluice::config
