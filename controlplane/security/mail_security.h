// SPDX-License-Identifier: Apache-2.0
//
// What a mail server that takes security seriously would make of ours: looks up what the domain publishes (DANE,
// MTA-STS), holds what the probes were shown against it, and tells where they do not agree. Nobody is taken out by it.
// One thread; time is the journal's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/base/times.h"
#include "controlplane/model/model.h"
#include "controlplane/security/dane.h"
#include "controlplane/security/record_watch.h"
#include "controlplane/security/signatures.h"
#include "controlplane/security/sts.h"
#include "controlplane/security/sts_watch.h"

namespace sluice::control {

/// A backend as a pool's clients meet it.
struct BackendSecurity {
  std::string name;
  std::string label;                    // the member's
  std::optional<bool> offers_starttls;  // nothing: not known, or under TLS from the first byte
  std::optional<SystemTime> not_after;  // of its certificate
  std::optional<DaneFinding> dane;      // where the check asks for it
  std::optional<StsFinding> sts;
};

/// The backends of a placement whose check speaks TLS.
struct PoolSecurity {
  std::string pool;
  uint16_t port = 0;  // that clients connect to
  std::string check;
  std::string server_name;
  std::string tlsa_name;       // "" = the check asks for no DANE
  std::string mail_domain;     // "" = the check asks for no MTA-STS
  std::string starttls_fault;  // some offer STARTTLS and others do not, in words; "" = they are alike
  std::string certificate_fault;
  std::vector<BackendSecurity> backends;
};

/// What the DNS says under a name of TLSA records.
struct TlsaKnown {
  std::optional<TlsaAnswer> answer;  // the last good one
  std::optional<SystemTime> answered;
  std::string fault;     // of the last question; "" = it was answered
  uint64_t version = 0;  // grows whenever anything of it changes
};

class MailSecurity {
 public:
  /// A domain, and the file of authorities by which its policy is believed.
  using PolicyKey = std::pair<std::string, std::string>;

  /// Model and journal outlive this. `servers`: of the DNS, as for Resolver; they have to validate.
  MailSecurity(boost::asio::io_context& io, const Model& model, Journal& journal,
               std::vector<config::SocketAddress> servers = {});

  /// Goes by `config`, from which the model was made. To be called again when both were replaced; what is known of
  /// names that stay is kept.
  void follow(const config::Config& config);
  void stop();
  /// Holds what was presented against what is known. To be called every second.
  void tick();

  /// As of the last tick(). Made for whoever asks.
  std::vector<PoolSecurity> pools() const;
  /// By name: "_25._tcp.mx.example.net".
  const std::map<std::string, TlsaKnown>& records() const { return records_; }
  std::map<PolicyKey, const StsKnown*> policies() const;
  /// Of what leads to the names of checks that ask for DANE.
  const std::map<RecordSet, SignedKnown>& signatures() const { return signatures_.known(); }

 private:
  /// What a backend was found to be last, and by what.
  struct Judged {
    std::shared_ptr<const health::PresentedChain> chain;
    std::optional<bool> offers_starttls;
    uint64_t records_version = 0, policy_version = 0;
    SystemTime at;
    std::optional<DaneFinding> dane;
    std::optional<StsFinding> sts;
  };

  void follow_records();
  void follow_policies();
  void follow_signatures();
  std::chrono::seconds hear_records(const std::string& name, const Resolver::Message& answer);
  using JudgedByKey = std::map<std::string, Judged>;

  /// Shows `look` each placement whose check speaks TLS. Those that differ in their tables alone are one here.
  template <typename Look>
  void for_each_placement(Look look) const;
  void look_at(const Placement& placement, const config::Check& check, JudgedByKey& judged, size_t& budget) const;
  PoolSecurity describe(const Placement& placement, const config::Check& check) const;
  Judged judge(const std::string& tlsa_name, const config::Check& check, const Member& member) const;
  bool holds(const Judged& judged, const Member& member, const std::string& tlsa_name,
             const config::Check& check) const;
  const StsWatch* policy_of(const config::Check& check) const;

  boost::asio::io_context& io_;
  const Model& model_;
  Journal& journal_;
  std::vector<config::SocketAddress> servers_;
  std::map<std::string, config::Check> checks_;  // those that speak TLS, by name
  std::map<std::string, TlsaKnown> records_;
  Signatures signatures_;
  std::map<std::string, std::unique_ptr<RecordWatch>> record_watches_;
  std::map<PolicyKey, std::unique_ptr<StsWatch>> policy_watches_;
  JudgedByKey judged_;  // by pool, port, check and member; of checks that ask for something
};

}  // namespace sluice::control
