// SPDX-License-Identifier: Apache-2.0
//
// Sources that gave offence: which sessions spoke before the greeting (sources.early_talkers), and who has too many
// AUTH commands refused, or too many short sessions under TLS, where nobody sees that (sources.auth_failures). Told by
// the records of sessions when they end. An IPv6 source is a /64. A bucket for each source drains at the rate that is
// allowed; one that runs over blocks. There is room for so many sources; what is worth least to remember gives way. One
// thread; time is the journal's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "controlplane/base/expiring.h"
#include "controlplane/base/journal.h"
#include "controlplane/base/times.h"
#include "dataplane/contract/session.h"

namespace sluice::control {

enum class Offence : uint8_t { kAuthFailures, kEarlyTalker };

/// "auth_failures", "early_talker".
std::string_view name_of(Offence offence);

/// Why new sessions of a source are not let in.
struct Offender {
  Offence offence = Offence::kAuthFailures;
  bool hears = false;  // that it is refused; else its packets are dropped
  SystemTime since;
  SystemTime until;

  friend bool operator==(const Offender&, const Offender&) = default;
};

/// What a source gave offence by in one session.
struct Offences {
  config::IpPrefix source;
  bool early = false;
  uint32_t auth_failures = 0;  // refused commands
  bool short_tls = false;
};

class Offenders {
 public:
  static constexpr size_t kMost = 65'536;     // sources
  static constexpr size_t kToldAMinute = 60;  // events, one for each that is blocked; of more, their number
  /// A session under TLS that is over sooner, with fewer bytes from its client, has brought no mail: the hello, the
  /// keys, EHLO, AUTH and QUIT are under a kilobyte, a message with its headers and envelope is beyond it. One that we
  /// ended, or its server by a reset, says nothing of its client.
  static constexpr uint32_t kShortTlsMs = 30'000;
  static constexpr uint32_t kShortTlsBytes = 1400;

  /// The journal outlives this.
  explicit Offenders(Journal& journal) : journal_(journal) {}

  /// Takes up what an earlier process knew, as far as its time is not up; before follow().
  void restore(const std::map<config::IpPrefix, Offender>& known);
  void follow(const config::Sources& config);
  /// A session has ended, of the service of that name. Whom `allow` exempts gives no offence. The answer is what counts
  /// as one, whether or not anything is done about it.
  Offences see(const channel::SessionRecord& record, std::string_view service);
  /// To be called every second. Whether entries() is another than before the last call.
  bool tick();
  /// Forgets a source, or all within a prefix. Whether there was any.
  bool forget(const config::IpPrefix& prefix);

  /// Those who are not let in now.
  const std::map<config::IpPrefix, Offender>& entries() const { return offenders_.entries(); }
  /// Sessions that gave offence so far.
  uint64_t early_talkers() const { return early_talkers_; }
  uint64_t auth_failures() const { return auth_failures_; }
  uint64_t short_tls_sessions() const { return short_tls_sessions_; }

 private:
  /// What is in it follows from when it will be empty.
  struct Bucket {
    SystemTime until;
  };

  /// A clock that was set back makes what is known last longer than its rule says: nobody is kept out for that.
  void follow_clock();
  bool is_exempt(const config::IpPrefix& source) const;
  void look_at_early(Offences& given, std::string_view service);
  void look_at_auth(Offences& given, const channel::SessionRecord& record, uint32_t failures);
  /// So much more flows into its bucket, where one refused command is `each`. `seen`: it was one, no guess of ours.
  void fill(const config::IpPrefix& source, SystemTime::duration more, SystemTime::duration each, bool seen);
  void enter(const config::IpPrefix& source, const Offender& offender, const std::string& why);
  void tell(const config::IpPrefix& source, const std::string& why);

  Journal& journal_;
  config::Sources config_;
  Expiring<config::IpPrefix, Bucket> buckets_{kMost};
  Expiring<config::IpPrefix, Offender> offenders_{kMost};
  SystemTime latest_;  // that the clock said
  bool changed_ = false;
  uint64_t early_talkers_ = 0;
  uint64_t auth_failures_ = 0;
  uint64_t short_tls_sessions_ = 0;
  SystemTime minute_;  // the one that told_ is of
  size_t told_ = 0;
  size_t untold_ = 0;
};

}  // namespace sluice::control
