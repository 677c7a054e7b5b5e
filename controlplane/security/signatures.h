// SPDX-License-Identifier: Apache-2.0
//
// Whether the records that lead senders to a mail server are signed: the MX records of the domain and the address
// records of the server's name. Without that, who goes by DANE does without it, whatever TLSA records there are (RFC
// 7672 sections 2.2.1 and 2.2.2). One thread; time is the journal's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <compare>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/base/journal.h"
#include "controlplane/base/times.h"
#include "controlplane/security/record_watch.h"

namespace sluice::control {

enum class Signed : uint8_t {
  kUnknown,    // nothing was asked yet
  kSigned,     // the resolver vouches for them
  kNotSigned,  // it does not
  kNone,       // there are none
  kDnsFails,   // the DNS gives no answer, and never gave one
};

/// "unknown", "signed", "not_signed", "none", "dns_fails".
std::string_view name_of(Signed state);

/// Records of one type under one name.
struct RecordSet {
  std::string name;
  int wire_type = 0;

  auto operator<=>(const RecordSet&) const = default;
};

struct SignedKnown {
  Signed state = Signed::kUnknown;  // by the last good answer
  std::optional<SystemTime> answered;
  std::string fault;  // of the last question; "" = it was answered
};

class Signatures {
 public:
  /// `servers`: as for MailSecurity.
  Signatures(boost::asio::io_context& io, Journal& journal, std::vector<config::SocketAddress> servers)
      : io_(io), journal_(journal), servers_(std::move(servers)) {}

  /// What is known of those that stay is kept.
  void follow(const std::set<RecordSet>& wanted);
  void stop() { watches_.clear(); }

  const std::map<RecordSet, SignedKnown>& known() const { return known_; }

 private:
  std::chrono::seconds hear(const RecordSet& of, const Resolver::Message& answer);

  boost::asio::io_context& io_;
  Journal& journal_;
  std::vector<config::SocketAddress> servers_;
  std::map<RecordSet, SignedKnown> known_;
  std::map<RecordSet, std::unique_ptr<RecordWatch>> watches_;
};

}  // namespace sluice::control
