// SPDX-License-Identifier: Apache-2.0
//
// A mail server that takes every message and keeps none, over ordinary sockets in one thread: as little work as a
// server can have, so that in a comparison the balancer is what differs.
#pragma once

#include <csignal>
#include <cstdint>
#include <vector>

#include "perf/mail/connection.h"

namespace sluice::mail {

class Sink {
 public:
  /// Listens on `port` of every address, IPv4 and IPv6. Throws std::system_error.
  explicit Sink(uint16_t port);

  /// Serves until `stop` becomes non-zero (by a signal).
  void run(const volatile std::sig_atomic_t& stop);

 private:
  struct Client {
    Descriptor socket;
    uint64_t last_bytes = 0;  // of the message, newest in the lowest byte
    bool in_message = false;
  };

  void accept_all();
  void serve(size_t number);
  bool take(Client& client, std::string_view bytes);

  Descriptor listener_;
  Poll poll_;
  std::vector<Client> clients_;  // by descriptor
};

}  // namespace sluice::mail
