// SPDX-License-Identifier: Apache-2.0
//
// A collector of flows, told of sessions by IPFIX over UDP (RFC 7011; libfixbuf composes the messages): a record for
// each, of elements that every collector knows, and of ours for what SMTP adds, which are described on the wire (RFC
// 5610). docs/sessions.md lists both.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "controlplane/records/datagram_socket.h"
#include "controlplane/records/session_output.h"

namespace sluice::control {

class IpfixExport;  // libfixbuf's own

class IpfixOutput : public SessionOutput {
 public:
  using Clock = std::chrono::steady_clock;
  /// A collector that began later knows what our records mean after so long.
  static constexpr std::chrono::seconds kTemplatesEvery{30};

  /// `where`: ADDRESS:PORT.
  explicit IpfixOutput(std::string where);
  ~IpfixOutput() override;

  Written write(std::span<const KnownSession* const> sessions, const LineStyle& style) override;
  void reopen() override;

 private:
  DatagramSocket socket_;
  std::unique_ptr<IpfixExport> export_;  // null: to be opened
  Clock::time_point templates_at_;       // when they were sent last
};

}  // namespace sluice::control
