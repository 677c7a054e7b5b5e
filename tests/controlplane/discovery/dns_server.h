// SPDX-License-Identifier: Apache-2.0
//
// A server of the DNS that says what a test has it say.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "config/model.h"
#include "tests/controlplane/discovery/dns_message.h"

namespace sluice::control {

/// A server of the DNS on a port of this host, on the test's own event loop.
class DnsServer {
 public:
  using Reply = std::function<std::optional<DnsMessage>(uint16_t id, const std::string& name, int type)>;

  DnsServer(boost::asio::io_context& io, Reply reply)
      : socket_(io, boost::asio::ip::udp::endpoint(boost::asio::ip::make_address("127.0.0.1"), 0)),
        reply_(std::move(reply)) {
    receive();
  }
  config::SocketAddress address() const {
    return {*config::IpAddress::parse("127.0.0.1"), socket_.local_endpoint().port()};
  }
  size_t asked() const { return asked_; }

 private:
  void receive() {
    socket_.async_receive_from(
        boost::asio::buffer(buffer_), from_, [this](const boost::system::error_code& error, size_t bytes) {
          if (error) return;
          asked_++;
          ns_msg message;
          ns_rr question;
          if (ns_initparse(buffer_.data(), static_cast<int>(bytes), &message) == 0 &&
              ns_parserr(&message, ns_s_qd, 0, &question) == 0) {
            if (const auto answer = reply_(ns_msg_id(message), ns_rr_name(question), ns_rr_type(question)))
              socket_.send_to(boost::asio::buffer(answer->bytes()), from_);
          }
          receive();
        });
  }

  boost::asio::ip::udp::socket socket_;
  Reply reply_;
  std::array<uint8_t, 2048> buffer_{};
  boost::asio::ip::udp::endpoint from_;
  size_t asked_ = 0;
};

}  // namespace sluice::control
