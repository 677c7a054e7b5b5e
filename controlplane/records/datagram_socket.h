// SPDX-License-Identifier: Apache-2.0
//
// A socket of datagrams to one reader, on this machine or another. It never waits: what the reader has no room for is
// lost. A reader that was replaced is found again.
#pragma once

#include <boost/asio/generic/datagram_protocol.hpp>
#include <string>
#include <string_view>

#include "controlplane/base/descriptor.h"

namespace sluice::control {

class DatagramSocket {
 public:
  /// `where`: an absolute path, or ADDRESS:PORT.
  explicit DatagramSocket(std::string where);

  /// "" or why the datagram is lost.
  std::string send(std::string_view datagram);
  void close() { socket_ = Descriptor(); }
  /// A new batch begins: a reader that was not found is looked for again, once.
  void begin_batch() { given_up_ = false; }

 private:
  std::string connect_socket();

  std::string where_;
  boost::asio::generic::datagram_protocol::endpoint to_;
  Descriptor socket_;
  bool given_up_ = false;
};

}  // namespace sluice::control
