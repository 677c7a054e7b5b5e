// SPDX-License-Identifier: Apache-2.0
#include "controlplane/security/sts_watch.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <utility>

#include "controlplane/discovery/dns_types.h"

namespace sluice::control {

namespace asio = boost::asio;

namespace {

/// Senders look as often as they deliver, so that a new policy holds at once, whatever the TTL says.
constexpr std::chrono::seconds kAskEvery{300};

}  // namespace

StsWatch::StsWatch(asio::io_context& io, std::vector<config::SocketAddress> servers, std::string domain,
                   CertificateStore authorities, Clock clock, Told told)
    : io_(io),
      domain_(std::move(domain)),
      authorities_(std::move(authorities)),
      tls_(policy_tls(authorities_)),
      clock_(std::move(clock)),
      told_(std::move(told)),
      watch_(io, std::move(servers), "_mta-sts." + domain_, kTypeTxt,
             [this](const Resolver::Message& answer) { return hear_text(answer); }) {}

template <typename Change>
void StsWatch::change(Change change) {
  const StsKnown before = known_;
  change();
  told_(before, known_);
}

std::chrono::seconds StsWatch::hear_text(const Resolver::Message& answer) {
  const auto texts = answer ? texts_from(*answer) : std::unexpected(answer.error());
  bool wants = false;
  change([&] {
    const auto id = texts ? sts_id(texts->texts) : std::unexpected(texts.error());
    wants = known_.hear_id(id, clock_());
  });
  if (wants) fetch();
  return texts ? std::min(texts->ttl, kAskEvery) : kAskEvery;
}

void StsWatch::fetch() {
  asio::co_spawn(io_, fetch_policy(policy_host(domain_), tls_),
                 [this, alive = std::weak_ptr(alive_)](const std::exception_ptr& failed,
                                                       const std::expected<std::string, std::string>& text) {
                   if (alive.expired()) return;
                   change([&] {
                     known_.hear_policy(failed == nullptr ? text : std::unexpected("it cannot be fetched"), clock_());
                   });
                 });
}

}  // namespace sluice::control
