// SPDX-License-Identifier: Apache-2.0
//
// The system log: that of this machine by its socket, as syslog(3) speaks to it, or another machine's by UDP (RFC 5424,
// RFC 5426). A message for each session, of facility mail: severity info, or warning if something went wrong.
#pragma once

#include "controlplane/records/datagram_socket.h"
#include "controlplane/records/session_output.h"

namespace sluice::control {

class SyslogOutput : public SessionOutput {
 public:
  static constexpr std::string_view kLocal = "/dev/log";

  /// `where`: "" = `kLocal`, another socket's path, or ADDRESS:PORT.
  explicit SyslogOutput(const std::string& where)
      : is_local_(where.empty() || where.front() == '/'), socket_(where.empty() ? std::string(kLocal) : where) {}

  Written write(std::span<const KnownSession* const> sessions, const LineStyle& style) override;
  void reopen() override { socket_.close(); }

 private:
  void compose(const KnownSession& session, const LineStyle& style);

  bool is_local_;
  DatagramSocket socket_;
  fmt::memory_buffer message_;
};

}  // namespace sluice::control
