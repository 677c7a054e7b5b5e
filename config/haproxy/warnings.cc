// SPDX-License-Identifier: Apache-2.0
#include "config/haproxy/warnings.h"

#include <fmt/format.h>

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
