// SPDX-License-Identifier: Apache-2.0
//
// An rtnetlink socket. The kernel answers requests while they are being sent, so `ask` does not block in practice; a
// receive timeout bounds it all the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "controlplane/base/descriptor.h"
#include "controlplane/kernel/netlink.h"

namespace sluice::control {

class NetlinkSocket {
 public:
  /// `groups`: RTMGRP_* bits to be notified of. Throws std::system_error.
  explicit NetlinkSocket(uint32_t groups);

  /// From now on a dump of one table's routes holds that table's alone (Linux 4.20).
  void be_strict();

  int fd() const { return fd_.get(); }
  uint32_t next_sequence() { return ++sequence_; }

  /// Sends `request` and returns what comes back until its end: a status, the end of a dump, or for requests about one
  /// thing the one answer. A dump that was interrupted by a change is asked for again, a few times. The error is an
  /// errno; EINTR: it was interrupted each time.
  std::expected<std::vector<netlink::Message>, int> ask(const netlink::Bytes& request) {
    return ask(request, SIZE_MAX);
  }

  /// Likewise, of an answer that is of use only if it holds no more messages than `limit`. Error E2BIG: it holds more.
  /// The rest of it is still to come then: nothing else is to be asked of this socket.
  std::expected<std::vector<netlink::Message>, int> ask(const netlink::Bytes& request, size_t limit);

  /// Sends requests with NLM_F_ACK as one message: the kernel carries them out one right after the other, whatever
  /// becomes of each. An errno for each (0 = done); the error: not all were answered.
  std::expected<std::vector<int>, int> ask_all(const std::vector<netlink::Bytes>& requests);

  /// What has been notified so far, without waiting. Error ENOBUFS: notifications were lost.
  std::expected<std::vector<netlink::Message>, int> poll();

  /// Throws away some of what has been notified so far, without reading it: of a flood not all at once.
  void discard();

 private:
  std::expected<std::vector<netlink::Message>, int> ask_once(const netlink::Bytes& request, size_t limit);
  std::expected<std::vector<netlink::Message>, int> receive(int flags);

  Descriptor fd_;
  uint32_t sequence_ = 0;
  std::vector<uint8_t> buffer_;
};

}  // namespace sluice::control
