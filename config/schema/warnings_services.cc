// SPDX-License-Identifier: Apache-2.0
//
// Warnings of `services`: a service against the check and the backends of its pool.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/bounds.h"
#include "config/choices.h"
#include "config/schema/warnings.h"

namespace sluice::config {

namespace {

constexpr uint16_t kRelayPort = 25;
constexpr uint16_t kSubmissionPort = 587;

struct View {
  const Service& service;
  const Pool& pool;
  const Check* check;  // null: none
  size_t pool_index;
  std::string path;  // of the service

  std::string check_path(const Findings& findings) const {
    std::string own = path + ".check";
    return findings.given(own) ? own : path;
  }
};

bool is_plain_smtp(uint16_t port) {
  return port == kRelayPort || port == kSubmissionPort;
}

/// Whether the probe finds, where it goes, what the service's clients find: TLS first, or the server's greeting.
void warn_of_check(const View& view, Findings& findings) {
  if (view.check == nullptr || view.check->type == CheckType::kTcp) return;
  const Check& check = *view.check;
  const bool greets_in_plain = check.type != CheckType::kSmtps;
  const auto probed = [&](const Backend& backend) {
    return check.port.value_or(backend.port.value_or(view.service.port));
  };
  const auto wrong_end = [&](const Backend& backend) {
    const uint16_t port = probed(backend);
    if (greets_in_plain)
      return port == kImplicitTlsPort || (!check.port && view.service.port == kImplicitTlsPort && !is_plain_smtp(port));
    return is_plain_smtp(port);
  };
  const auto found = std::ranges::find_if(view.pool.backends, wrong_end);
  if (found == view.pool.backends.end()) return;
  findings.warn(view.check_path(findings),
                greets_in_plain
                    ? fmt::format("check \"{}\" ({}) waits for a greeting on port {}, where the server waits for TLS "
                                  "(RFC 8314 section 7.3): backend \"{}\" can never be up; usual: type = \"smtps\" or "
                                  "\"tcp\"",
                                  check.name, name_of(check.type), probed(*found), found->name)
                    : fmt::format("check \"{}\" (smtps) begins with TLS on port {}, where the server greets in plain "
                                  "text: backend \"{}\" can never be up; usual: type = \"starttls\"",
                                  check.name, probed(*found), found->name));
}

void warn_of_backend_ports(const View& view, Findings& findings) {
  for (size_t i = 0; i < view.pool.backends.size(); i++) {
    const Backend& backend = view.pool.backends[i];
    if (!backend.port) continue;
    const bool tls_meets_plain = view.service.port == kImplicitTlsPort && is_plain_smtp(*backend.port);
    const bool plain_meets_tls = is_plain_smtp(view.service.port) && *backend.port == kImplicitTlsPort;
    if (!tls_meets_plain && !plain_meets_tls) continue;
    findings.warn(fmt::format("pools[{}].backends[{}].port", view.pool_index, i),
                  fmt::format("clients of service \"{}\" come to port {} {}, and a server at port {} {}",
                              view.service.name, view.service.port, tls_meets_plain ? "with TLS" : "in plain text",
                              *backend.port, tls_meets_plain ? "greets in plain text" : "waits for TLS"));
    return;
  }
}

void warn_of_proxy(const View& view, Findings& findings) {
  if (view.check == nullptr || view.check->type == CheckType::kTcp || view.check->port) return;
  const bool service_sends = view.service.proxy != Proxy::kNone;
  const bool check_sends = view.check->proxy != Proxy::kNone;
  if (service_sends && !check_sends)
    findings.warn(view.path + ".proxy",
                  fmt::format("check \"{}\" sends no PROXY header: a server that wants one greets no probe, and is "
                              "never up; usual: proxy = \"{}\" in the check, too",
                              view.check->name, name_of(view.service.proxy)));
  if (check_sends && !service_sends)
    findings.warn(view.check_path(findings),
                  fmt::format("check \"{}\" sends a PROXY header, and the service does not: a server that wants one is "
                              "up and takes no session, unless clients bring it; usual: proxy = \"{}\" in the service, "
                              "too",
                              view.check->name, name_of(view.check->proxy)));
}

void warn_of_421(const View& view, const Config& config, Findings& findings) {
  if (view.service.on_no_backend == OnNoBackend::k421 && config.clients_speak_first(view.service))
    findings.warn(view.path + ".on_no_backend",
                  "\"421\" is plain text, and by the service's check (smtps) clients wait for TLS; usual: \"reset\"");
}

/// What is known of other protocols: a server that does not greet as SMTP does looks silent or worse.
void warn_of_protocol(const View& view, Findings& findings) {
  struct Other {
    uint16_t port;
    std::string_view protocol;
  };
  constexpr std::array<Other, 9> kOthers{{{22, "ssh"},
                                          {53, "DNS"},
                                          {80, "HTTP"},
                                          {110, "POP3"},
                                          {143, "IMAP"},
                                          {443, "HTTPS"},
                                          {993, "IMAP over TLS"},
                                          {995, "POP3 over TLS"},
                                          {4190, "ManageSieve"}}};
  const auto* other = std::ranges::find(kOthers, view.service.port, &Other::port);
  if (other == kOthers.end()) return;
  findings.warn(view.path + ".port",
                fmt::format("{} is the port of {}: replies, greetings and \"421\" are read and sent as SMTP's; usual: "
                            "25, 587, 465",
                            view.service.port, other->protocol));
}

void warn_of_scheduler(const View& view, Findings& findings) {
  const Scheduler scheduler = view.service.scheduler;
  if (scheduler != Scheduler::kWrr && scheduler != Scheduler::kLeastConn) return;
  if (view.service.hash_on != HashOn::kConnection)
    findings.warn(view.path + ".hash_on", fmt::format("new sessions are not placed by a hash with scheduler = \"{}\"; "
                                                      "usual: \"maglev\" or \"source\"",
                                                      name_of(scheduler)));
}

/// The first `bits` of both are the same.
bool share(const IpAddress& one, const IpAddress& other, unsigned bits) {
  return std::equal(one.bytes.begin(), one.bytes.begin() + bits / 8, other.bytes.begin());
}

/// Where clients and mail servers are behind different ports, a VIP is of the clients' side. The file does not say how
/// large networks are: taken is what they are mostly, /24 and /64.
void warn_of_vip(const View& view, const Config& config, Findings& findings) {
  const bool one_arm =
      std::ranges::any_of(config.dataplane.ports, [](const Port& port) { return port.faces == Faces::kBoth; });
  const bool rewrites = view.service.forwarding == Forwarding::kNat || view.service.forwarding == Forwarding::kFullnat;
  if (one_arm || !rewrites) return;
  const IpAddress& vip = view.service.vip;
  const unsigned bits = vip.is_v4() ? 120 : 64;
  const auto near = [&](const Backend& backend) {
    return backend.address.is_v4() == vip.is_v4() && share(backend.address, vip, bits);
  };
  const auto found = std::ranges::find_if(view.pool.backends, near);
  if (found == view.pool.backends.end()) return;
  findings.warn(view.path + ".vip",
                fmt::format("{} is in the same /{} as backend \"{}\" ({}), which is behind another port than clients "
                            "are: a VIP is of the clients' side",
                            vip.to_string(), vip.is_v4() ? 24 : 64, found->name, found->address.to_string()));
}

}  // namespace

void warn_of_services(const Config& config, Findings& findings) {
  const std::vector<Service> all = config.services_and_routes();
  for (size_t i = 0; i < all.size(); i++) {
    const Service& service = all[i];
    const auto own = std::ranges::find(config.services, service.name, &Service::name) - config.services.begin();
    const Pool& pool = *config.find_pool(service.pool);
    const View view{service, pool, config.find_check(service.check.empty() ? pool.check : service.check),
                    static_cast<size_t>(&pool - config.pools.data()), fmt::format("services[{}]", own)};
    warn_of_check(view, findings);
    warn_of_backend_ports(view, findings);
    warn_of_proxy(view, findings);
    if (i >= config.services.size()) continue;  // what follows is of the service alone
    warn_of_421(view, config, findings);
    warn_of_protocol(view, findings);
    warn_of_scheduler(view, findings);
    warn_of_vip(view, config, findings);
  }
}

}  // namespace sluice::config
