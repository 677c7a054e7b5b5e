// SPDX-License-Identifier: Apache-2.0
//
// The process's log: spdlog to stderr, one line per event, as text or as JSON objects with the members
// time, level and message.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

enum class LogFormat : uint8_t { kText, kJson };

/// Sets the default logger. `level`: "debug", "info", "warn" or "error".
void set_up_log(const std::string& level, LogFormat format);

/// Sends the log of DPDK, libbpf and libxdp through ours: warnings and errors at their level, the rest as debug. Call
/// before EAL starts.
void redirect_dpdk_log();

/// While it lives, DPDK's warnings go to debug, its errors too if so told: for calls that complain and succeed.
class QuietDpdk {
 public:
  explicit QuietDpdk(bool errors_too);
  ~QuietDpdk();
  QuietDpdk(const QuietDpdk&) = delete;
  QuietDpdk& operator=(const QuietDpdk&) = delete;
};

/// The last error that DPDK logged, without its newline; "" if none.
std::string last_dpdk_error();

}  // namespace sluice
