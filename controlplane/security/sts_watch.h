// SPDX-License-Identifier: Apache-2.0
//
// Follows the policy of one domain: asks the DNS for its id, and fetches it when that is another. Believes the policy's
// host, and later the mail servers, by one set of authorities.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/base/times.h"
#include "controlplane/security/policy_fetch.h"
#include "controlplane/security/record_watch.h"
#include "controlplane/security/sts_known.h"

namespace sluice::control {

class StsWatch {
 public:
  using Clock = std::function<SystemTime()>;
  /// The fault has changed, or what is known.
  using Told = std::function<void(const StsKnown& before, const StsKnown& now)>;

  /// `servers`: of the DNS, as for Resolver.
  StsWatch(boost::asio::io_context& io, std::vector<config::SocketAddress> servers, std::string domain,
           CertificateStore authorities, Clock clock, Told told);

  const StsKnown& known() const { return known_; }
  X509_STORE* authorities() const { return authorities_.get(); }

 private:
  std::chrono::seconds hear_text(const Resolver::Message& answer);
  void fetch();
  template <typename Change>
  void change(Change change);

  boost::asio::io_context& io_;
  std::string domain_;
  CertificateStore authorities_;
  PolicyTls tls_;
  Clock clock_;
  Told told_;
  StsKnown known_;
  RecordWatch watch_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for a policy that comes late
};

}  // namespace sluice::control
