// SPDX-License-Identifier: Apache-2.0
//
// Where records go. Used by the writer's thread alone: a write may wait for a disk. What cannot be written is lost,
// never kept: the next batch tries again.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "config/model.h"
#include "controlplane/records/session_line.h"

namespace sluice::control {

/// How many records of a batch were written; the others were lost, and why.
struct Written {
  uint64_t records = 0;
  uint64_t lost = 0;
  std::string fault;  // "" = none was lost
};

class SessionOutput {
 public:
  virtual ~SessionOutput() = default;

  virtual Written write(std::span<const KnownSession* const> sessions, const LineStyle& style) = 0;
  /// Opens again what somebody has moved away.
  virtual void reopen() = 0;
};

/// One that takes lines of JSON.
class LineOutput : public SessionOutput {
 public:
  Written write(std::span<const KnownSession* const> sessions, const LineStyle& style) final;
  /// `lines`: whole lines, each ended by a newline.
  virtual Written write_lines(std::string_view lines) = 0;

 private:
  fmt::memory_buffer lines_;
};

/// What `records.to` names; null if it names nothing.
std::unique_ptr<SessionOutput> make_output(const config::Records& config);

/// "file", "unix_datagram", "syslog", "ipfix", or "none": for labels of metrics.
std::string_view kind_of(const config::Records& config);

}  // namespace sluice::control
