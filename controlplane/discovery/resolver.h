// SPDX-License-Identifier: Apache-2.0
//
// Questions to the DNS, by c-ares on our event loop: over UDP, over TCP where an answer is too long, from one server to
// the next. /etc/hosts and search domains have no part in it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/discovery/dns_records.h"

namespace sluice::control {

class Resolver {
 public:
  /// The error says what was asked and what came of it: "SRV _smtp._tcp.example.net: there is no such name".
  using Answer = std::expected<DnsRecords, std::string>;
  using Heard = std::function<void(Answer)>;

  /// `servers`: in this order; none: those of /etc/resolv.conf. Throws std::runtime_error (no memory, a file that makes
  /// no sense).
  Resolver(boost::asio::io_context& io, const std::vector<config::SocketAddress>& servers);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// `heard` is called once, from the event loop; not at all if this ends before.
  void ask(const std::string& name, config::DnsType type, Heard heard);

  /// The whole message of an answer, also where it says that there is no such name or record.
  using Message = std::expected<std::vector<uint8_t>, std::string>;
  using HeardMessage = std::function<void(Message)>;
  /// As ask(), of a resolver that is to say whether it holds the answer for authentic (RFC 6840 section 5.7).
  /// `wire_type` is one of dns_types.h.
  void ask_authenticated(const std::string& name, int wire_type, HeardMessage heard);

 private:
  struct Channel;
  std::shared_ptr<Channel> channel_;
};

}  // namespace sluice::control
