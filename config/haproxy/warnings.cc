// SPDX-License-Identifier: Apache-2.0
#include "config/haproxy/warnings.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace sluice::config::haproxy {

namespace {

constexpr Milliseconds kEndOfData{600'000};  // RFC 5321 section 4.5.3.2.6
constexpr Milliseconds kGreetDelay{6'000};   // postscreen's postscreen_greet_wait

void warn_of_port(const Server& server, uint16_t port, bool tls, Remarks& remarks) {
  const uint16_t target = server.at.port.value_or(port);
  if (port == kSubmission && target == kRelay)
    remarks.warn(
        server.line,
        "submission on 587 was sent to port 25, where no login is demanded and other rules hold: give the service "
        "a pool with port 587");
  if (port == kSubmissions && (target == kRelay || target == kSubmission) && !tls)
    remarks.warn(server.line, fmt::format("465 is TLS from the first byte, and port {} is not: give the service a pool "
                                          "with port 465",
                                          target));
}

/// HAProxy spoke TLS to the server, and clients do not.
void warn_of_tls(const Server& server, const Bind& bind, Remarks& remarks) {
  if (server.settings.tls && !bind.tls && bind.at.port != kSubmissions)
    remarks.warn(server.line,
                 "HAProxy spoke TLS to the server, and here clients speak to it themselves, in plain text: give the "
                 "service a pool with a port that greets in plain text");
}

/// A VIP of one family leads to servers of that family alone.
void warn_of_family(const Server& server, const Bind& bind, Remarks& remarks) {
  if (server.at.address.is_v4() == bind.at.v6)
    remarks.warn(server.line,
                 fmt::format("its address is of IPv{}, so that clients who come by IPv{} do not get to it: "
                             "`nat` keeps the family",
                             bind.at.v6 ? 4 : 6, bind.at.v6 ? 6 : 4));
}

/// Nobody is kept waiting here.
void warn_of_queue(const Balanced& backend, Remarks& remarks) {
  const auto limited = std::ranges::find_if(
      backend.servers, [](const Server& server) { return server.settings.max_connections.value_or(0) != 0; });
  if (limited == backend.servers.end()) return;
  remarks.warn(
      limited->line,
      "maxconn: HAProxy kept clients waiting who were beyond the maxconn of every server; here they are told 421");
}

void warn_of_timeout(const Balanced& proxy, const std::string& which, Remarks& remarks) {
  const auto timeout = proxy.timeouts.find(which);
  if (timeout == proxy.timeouts.end() || timeout->second.value.count() == 0) return;
  if (timeout->second.value >= kEndOfData) return;
  remarks.warn(timeout->second.line,
               fmt::format("timeout {} of {} s is below RFC 5321: a server may take 10 minutes after the end of the "
                           "message (4.5.3.2.6), and a session cut there delivers it twice; flows are kept for 7440 s "
                           "instead",
                           which, timeout->second.value.count() / 1000));
}

/// What of a server's settings a check of the whole pool cannot have in two ways.
auto pace(const ServerSettings& settings) {
  return std::tie(settings.interval, settings.fast_interval, settings.rise, settings.fall, settings.check_port);
}

}  // namespace

void warn_of_service(const Balanced& proxy, const Balanced& backend, const Bind& bind, Remarks& remarks) {
  const uint16_t port = bind.at.port;
  for (const Server& server : backend.servers) warn_of_port(server, port, bind.tls, remarks);
  if (bind.tls)
    remarks.warn(bind.line,
                 fmt::format("HAProxy terminated TLS on port {}; here packets pass as they are, so the mail servers "
                             "themselves must speak TLS on the port they are given",
                             port));
  if (proxy.inspect_delay && proxy.inspect_delay->value.count() > 0 && port != kSubmissions)
    remarks.warn(proxy.inspect_delay->line,
                 fmt::format("inspect-delay held every session on port {} for that time: an SMTP client says nothing "
                             "before the greeting, so there was nothing to inspect; it is left out",
                             port));
  warn_of_timeout(proxy, "client", remarks);
  warn_of_timeout(backend, "server", remarks);
}

void warn_of_servers(const Balanced& backend, const Bind& bind, Remarks& remarks) {
  for (const Server& server : backend.servers) {
    warn_of_tls(server, bind, remarks);
    warn_of_family(server, bind, remarks);
  }
  warn_of_queue(backend, remarks);
}

void warn_of_difference(const Server& server, const Server& first, Remarks& remarks) {
  constexpr std::string_view kText =
      "servers of one backend differ in {}; here it belongs to the service, and the first server's is taken";
  if (server.settings.proxy() != first.settings.proxy()) remarks.warn(server.line, fmt::format(kText, "send-proxy"));
  if (server.settings.reset_when_down != first.settings.reset_when_down)
    remarks.warn(server.line, fmt::format(kText, "on-marked-down"));
}

void warn_of_check(const Balanced& backend, const Server& checked, const DraftCheck& check, Remarks& remarks) {
  if (check.type == CheckType::kTcp)
    remarks.warn(checked.line,
                 fmt::format("check {} only connects: a mail server that accepts and never greets counts as healthy; "
                             "type = \"banner\" or \"ehlo\" waits for its greeting",
                             check.name));
  if (check.type != CheckType::kTcp && check.reply_timeout && *check.reply_timeout <= kGreetDelay)
    remarks.warn(backend.timeouts.at("check").line,
                 "timeout check does not outwait a greet delay, 6 s in Postfix's postscreen");
  for (const Server& server : backend.servers) {
    if (!server.settings.check)
      remarks.warn(server.line, fmt::format("it was not checked; check {} is that of the whole pool", check.name));
    else if (pace(server.settings) != pace(checked.settings))
      remarks.leave_out(
          server.line,
          fmt::format("its own inter, rise, fall or port: check {} is that of the whole pool", check.name));
  }
}

}  // namespace sluice::config::haproxy
