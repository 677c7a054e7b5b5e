// SPDX-License-Identifier: Apache-2.0
//
// A Unix datagram socket that somebody reads: a datagram for each line, without its newline.
#pragma once

#include "controlplane/records/datagram_socket.h"
#include "controlplane/records/session_output.h"

namespace sluice::control {

class DatagramOutput : public LineOutput {
 public:
  explicit DatagramOutput(std::string path) : socket_(std::move(path)) {}

  Written write_lines(std::string_view lines) override;
  void reopen() override { socket_.close(); }

 private:
  DatagramSocket socket_;
};

}  // namespace sluice::control
