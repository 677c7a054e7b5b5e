// SPDX-License-Identifier: Apache-2.0
//
// The configuration as the programs use it: typed, validated, with every default filled in. What is
// here is right by construction of `load()` (config/load.h); no other part checks it again.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "config/model_dataplane.h"

namespace sluice::config {

/// An IPv6 address, or an IPv4 address v4-mapped, in network order.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  static std::optional<IpAddress> parse(const std::string& text);
  std::string to_string() const;  // "10.0.1.10", "2001:db8::25"
  bool is_v4() const;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

/// "10.0.1.12:9707", "[2001:db8::12]:9707".
struct SocketAddress {
  IpAddress address;
  uint16_t port = 0;

  /// The address is numeric, in brackets if it is IPv6. The error says what is wrong: "has no port".
  static std::expected<SocketAddress, std::string> parse(const std::string& text);
  std::string to_string() const;
  friend auto operator<=>(const SocketAddress&, const SocketAddress&) = default;
};

/// "192.0.2.0/24", "2001:db8::/32"; an address alone is the prefix that holds only it.
struct IpPrefix {
  IpAddress address;
  uint8_t bits = 128;  // of the 128; those of an IPv4 prefix are 96 more than it says

  /// The error says what is wrong: "has bits set behind its length; 192.0.2.0/24 does not".
  static std::expected<IpPrefix, std::string> parse(const std::string& text);
  /// The network of that length that an address is of.
  static IpPrefix of(IpAddress address, uint8_t bits);
  std::string to_string() const;  // with its length, always
  bool contains(const IpPrefix& other) const;
  friend auto operator<=>(const IpPrefix&, const IpPrefix&) = default;
};

enum class Scheduler : uint8_t { kMaglev, kWrr, kLeastConn, kSource };
enum class HashOn : uint8_t { kConnection, kClient, kClientPrefix };
enum class Forwarding : uint8_t { kNat, kFullnat, kDsr, kIpip, kGue };
enum class Proxy : uint8_t { kNone, kV1, kV2 };
enum class OnBackendDown : uint8_t { kReset, kKeep };
enum class OnNoBackend : uint8_t { kReset, kSilence, k421 };
enum class SynProxy : uint8_t { kOff, kAuto, kAlways };
enum class OnRemoval : uint8_t { kDrain, kReset };
enum class CheckType : uint8_t { kTcp, kBanner, kEhlo, kStarttls, kSmtps };
enum class Curve : uint8_t { kLinear, kExponential };
enum class OnSoft : uint8_t { kShed, kDown };
enum class CertificateAction : uint8_t { kWarn, kDown };
enum class LogLevel : uint8_t { kDebug, kInfo, kWarn, kError };
enum class LogFormat : uint8_t { kText, kJson };

/// How `http` is served under TLS. PEM files.
struct HttpTls {
  std::string cert_file;
  std::string key_file;
  std::string client_ca_file;  // clients have to show a certificate that one of these vouches for; "" = none

  friend bool operator==(const HttpTls&, const HttpTls&) = default;
};

struct Control {
  std::string api;                      // path of the Unix socket
  std::string http = "127.0.0.1:9125";  // "ADDRESS:PORT", "" = none
  std::vector<std::string> http_names;  // by which http may be asked for, besides addresses and "localhost"
  std::string token_file;               // holds the bearer token that lets others change things; "" = nobody may
  std::string read_token_file;          // likewise of one that lets them read
  std::optional<HttpTls> tls;           // of http; none: in plain text
  std::string api_group;                // whose members may use `api`; "" = the process' own
  std::string placement_secret_file;    // holds what clients are placed by, beside what all know; "" = nothing
  std::string state;                    // directory of what outlives control: changes by hand, the journal
  LogLevel log_level = LogLevel::kInfo;
  LogFormat log_format = LogFormat::kText;
};

/// A named health check. Durations are those of one probe.
struct Check {
  std::string name;
  CheckType type = CheckType::kTcp;
  std::optional<uint16_t> port;  // another port than the traffic's
  std::chrono::milliseconds interval{5000};
  double jitter = 0.2;  // share of the interval, either way
  std::chrono::milliseconds fast_interval{1000};
  std::chrono::milliseconds connect_timeout{3000};
  std::chrono::milliseconds greeting_timeout{15000};
  std::chrono::milliseconds command_timeout{10000};
  uint32_t rise = 2;
  uint32_t fall = 3;
  std::string expect;                // pattern (schema/pattern.h) that the greeting has to match; "" = any 2xx greeting
  std::string reject;                // pattern that the greeting must not match; "" = none
  Proxy proxy = Proxy::kNone;        // header that the probe sends first: v1 with real addresses, v2 LOCAL
  std::string helo;                  // what the probe calls itself; "" = its address literal
  std::vector<std::string> require;  // EHLO keywords that must be offered, before or after TLS
  std::string server_name;           // name asked for (SNI) and, with `verify`, held against the certificate
  bool verify = false;               // hold the certificate's chain and name against `ca_file`
  std::string ca_file;               // "" = the system's
  uint32_t certificate_warn_days = 21;                              // fewer days left: reported
  uint32_t certificate_fail_days = 0;                               // this few days left, or less: down
  CertificateAction certificate_action = CertificateAction::kWarn;  // what follows from a bad one; verify: kDown
  bool tlsa = false;               // hold the certificate against the TLSA records of `server_name` (RFC 7672)
  bool mta_sts = false;            // hold name and certificate against the policy of `mail_domain` (RFC 8461)
  std::string mail_domain;         // whose mail is taken here; "" = `server_name` without its first label
  OnSoft on_soft = OnSoft::kShed;  // what follows from 4xx
  double soft_weight = 0.1;        // kShed: share of its weight that the backend keeps

  friend bool operator==(const Check&, const Check&) = default;
};

/// A new address is given its share little by little: by day, the first beginning at `start` 00:00 UTC.
struct WarmUp {
  std::chrono::sys_days start;
  uint32_t days = 30;  // until the whole share
  double from = 0.02;  // factor of the first day
  Curve curve = Curve::kLinear;
  std::vector<double> table;  // factor of each day; not empty: instead of `days`, `from` and `curve`

  friend bool operator==(const WarmUp&, const WarmUp&) = default;
};

/// Who says that a backend is a member of its pool: the file, what the pool's `discover` names, or an operator.
enum class Origin : uint8_t { kFile, kDiscovered, kByHand };

struct Backend {
  std::string name;
  IpAddress address;
  uint32_t weight = 100;         // 0 = takes no new flows
  uint32_t max_connections = 0;  // open at once, of all workers together; 0 = no limit
  std::optional<uint16_t> port;  // default: the service's
  std::optional<WarmUp> warm_up;
  uint32_t tier = 0;                   // takes traffic only when all lower tiers are out
  std::optional<SocketAddress> agent;  // asked for its weight (healthcheck/agent_reply.h)
  Origin origin = Origin::kFile;
  std::string zone;  // where it is; "" = everywhere, as near as our own zone

  friend bool operator==(const Backend&, const Backend&) = default;
};

/// What a pool's traffic may show before weight is taken from a backend. Ratios are of its new connections.
struct Passive {
  bool enabled = true;
  uint32_t max_greeting_ms = 3000;
  double max_greeting_ratio = 3;  // to the median of the others
  double max_soft_ratio = 0.2;
  double max_refused_ratio = 0.05;
  double max_failed_ratio = 0.05;
  uint32_t min_samples = 20;  // connections that it takes to judge
  std::chrono::milliseconds interval{5000};
  std::chrono::milliseconds cooldown{30000};  // from one change of a factor to the next step back

  friend bool operator==(const Passive&, const Passive&) = default;
};

enum class DnsType : uint8_t { kA, kAaaa, kSrv };
enum class Family : uint8_t { kIpv4, kIpv6 };

/// Where members of a pool come from that are not in the file: a file, a name, or what they say of themselves in etcd.
struct Discover {
  std::string file;  // a JSON document, as read_backends() takes it; "" = none
  std::string dns;   // a name to ask for; "" = none
  bool etcd = false;
  DnsType type = DnsType::kA;
  Family family = Family::kIpv4;       // of what SRV records lead to
  std::vector<SocketAddress> servers;  // to ask; none: those of /etc/resolv.conf

  friend bool operator==(const Discover&, const Discover&) = default;
};

struct Pool {
  std::string name;
  std::string check;                             // name of a check; "" = none, taken as healthy
  uint32_t min_healthy = 0;                      // below this the pool is out of service
  double max_shed = 0.5;                         // how much of its weight `passive` may take away
  double panic_share = 0.5;                      // more of it failing at once is taken for a failure of the way there
  std::chrono::milliseconds panic_hold{180000};  // for which it then goes on as before
  std::vector<Backend> backends;
  std::optional<Discover> discover;
  std::chrono::milliseconds slow_start{0};     // from recovery to full weight
  std::chrono::milliseconds tier_hold{10000};  // a lower tier has to be back for so long
  double zone_headroom = 1.4;                  // how many times what it usually has backends of our own zone can carry
  std::chrono::milliseconds agent_interval{5000};
  OnRemoval on_removal = OnRemoval::kDrain;  // what becomes of the sessions of a backend that leaves the file
  std::chrono::milliseconds removal_deadline{600'000};  // of such a drain
  Passive passive;

  friend bool operator==(const Pool&, const Pool&) = default;
};

struct Service {
  std::string name;
  IpAddress vip;
  uint16_t port = 25;
  std::string pool;
  std::string check;  // overrides the pool's; "" = the pool's
  Scheduler scheduler = Scheduler::kMaglev;
  uint32_t table_size = 65537;  // prime
  HashOn hash_on = HashOn::kConnection;
  Forwarding forwarding = Forwarding::kNat;
  Proxy proxy = Proxy::kNone;
  OnBackendDown on_backend_down = OnBackendDown::kReset;
  OnNoBackend on_no_backend = OnNoBackend::k421;  // kReset where clients speak first
  std::string text_421 = "4.3.2 try again later";
  SynProxy syn_proxy = SynProxy::kAuto;  // kOff where one half of a connection is not seen
  uint16_t mss = 0;  // most that a SYN may announce; 0 = as it is (in tunnels: what they carry whole)
  std::optional<uint32_t> idle_timeout;  // s; of its established flows, in place of timers.established

  friend bool operator==(const Service&, const Service&) = default;
};

enum class LimitOf : uint8_t { kAddress, kPrefix };
enum class LimitAction : uint8_t { kDrop, kReset, k421, kTarpit };

/// How many sessions a source may have.
struct Limit {
  LimitOf of = LimitOf::kAddress;  // what is counted as one source
  uint8_t prefix_v4 = 24;          // its length, with kPrefix
  uint8_t prefix_v6 = 64;
  uint32_t connections = 0;  // open at once; 0 = no limit
  uint32_t per_second = 0;   // new ones; 0 = no limit
  uint32_t burst = 0;        // of new ones at once; filled in where there is a per_second
  LimitAction action = LimitAction::k421;
  std::vector<std::string> services;  // that it holds for; empty = all

  friend bool operator==(const Limit&, const Limit&) = default;
};

/// A pool of their own for some clients of a service.
struct Route {
  std::vector<IpPrefix> from;
  std::string service;
  std::string pool;

  friend bool operator==(const Route&, const Route&) = default;
};

enum class OnOffence : uint8_t { kCount };
enum class ThenOnOffence : uint8_t { kNothing, k421, kDrop };

/// Clients that speak before the greeting.
struct EarlyTalkers {
  OnOffence action = OnOffence::kCount;
  uint32_t remember = 600;                       // s
  ThenOnOffence then = ThenOnOffence::kNothing;  // what becomes of new connections of a source that is remembered

  friend bool operator==(const EarlyTalkers&, const EarlyTalkers&) = default;
};

/// Sources that guess passwords.
struct AuthFailures {
  uint32_t per_minute = 30;           // more refused AUTH commands are too many
  uint32_t short_tls_sessions = 0;    // that count as one refused AUTH command; 0 = they do not count
  uint32_t block_for = 900;           // s
  std::vector<std::string> services;  // that it holds for; empty = all

  friend bool operator==(const AuthFailures&, const AuthFailures&) = default;
};

/// Who may come.
struct Sources {
  std::string block_file;       // prefixes whose new sessions are dropped; "" = none
  std::vector<IpPrefix> allow;  // exempt
  std::vector<Limit> limits;
  std::vector<Route> routes;  // of those that name a client, the first holds
  std::optional<EarlyTalkers> early_talkers;
  std::optional<AuthFailures> auth_failures;

  friend bool operator==(const Sources&, const Sources&) = default;
};

enum class AnnounceMode : uint8_t { kNone, kRoutes, kAddress };
/// Of several services with one VIP, how many have to be in service.
enum class Require : uint8_t { kAll, kAny };
/// What becomes of a VIP for which no service is in service: not announced, or at the draining metric.
enum class LastNode : uint8_t { kWithdraw, kStay };

/// How the network learns which VIPs are served here.
struct Announce {
  AnnounceMode mode = AnnounceMode::kNone;
  uint32_t table = 2525;                      // the kernel's routing table that is ours
  uint8_t protocol = 125;                     // by which we know our routes in it
  uint32_t metric = 100;                      // of a VIP in service
  uint32_t draining_metric = 200;             // of one that is to be used only where there is no other
  std::chrono::milliseconds hold_down{3000};  // a change has to last so long
  Require require = Require::kAll;
  LastNode last_node = LastNode::kWithdraw;

  friend bool operator==(const Announce&, const Announce&) = default;
};

/// What is written down of each session when it ends.
struct Records {
  std::string to;          // "file:PATH", "unix-datagram:PATH"; "" = nowhere
  double share = 1;        // of sessions in which nothing went wrong
  uint32_t rotate_mb = 0;  // size at which a file is renamed and begun anew; 0 = never
  uint32_t keep = 5;       // of renamed files

  friend bool operator==(const Records&, const Records&) = default;
};

/// With whom the data plane exchanges what it knows of flows.
struct Peers {
  std::optional<SocketAddress> listen;  // none: no exchange
  std::vector<SocketAddress> to;
  std::string key_file;              // a secret that all of them share
  std::vector<IpAddress> addresses;  // from which the others speak with backends by fullnat

  friend bool operator==(const Peers&, const Peers&) = default;
};

/// An etcd cluster, asked through its JSON gateway.
struct Etcd {
  std::vector<std::string> endpoints;  // "https://10.9.0.9:2379", one after the other
  std::string prefix = "/sluice";      // of all keys that are ours
  std::string ca_file;                 // "" = the system's
  std::string cert_file;               // of ours; "" = none
  std::string key_file;

  friend bool operator==(const Etcd&, const Etcd&) = default;
};

/// The nodes that share the VIPs.
struct Fleet {
  std::string node;  // what this one calls itself; "" = the host's name
  std::string zone;  // where this one is; "" = backends of all zones are alike
  Peers peers;
  std::optional<Etcd> etcd;  // what the nodes share of facts and wishes

  friend bool operator==(const Fleet&, const Fleet&) = default;
};

struct Config {
  std::string instance = "sluice";
  Dataplane dataplane;
  Control control;
  std::vector<Check> checks;
  std::vector<Pool> pools;
  std::vector<Service> services;
  Sources sources;
  Announce announce;
  Records records;
  Fleet fleet;

  const Pool* find_pool(const std::string& name) const;
  const Check* find_check(const std::string& name) const;
  /// The services, and for each of sources.routes its service as the route's clients find it: with the other pool.
  std::vector<Service> services_and_routes() const;
  /// Whether TLS comes before the greeting.
  bool clients_speak_first(const Service& service) const;
  /// "/run/sluice/INSTANCE", or that under $SLUICE_RUNTIME_DIR instead of /run/sluice. Holds channel.sock.
  std::string runtime_directory() const;
  /// "/var/lib/sluice/INSTANCE", or that under $SLUICE_STATE_DIR instead of /var/lib/sluice: the default of
  /// control.state.
  std::string state_directory() const;
  /// The Unix socket on which the data plane listens.
  std::string channel_socket() const;
};

}  // namespace sluice::config
