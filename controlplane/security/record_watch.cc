// SPDX-License-Identifier: Apache-2.0
#include "controlplane/security/record_watch.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace sluice::control {

RecordWatch::RecordWatch(boost::asio::io_context& io, std::vector<config::SocketAddress> servers, std::string name,
                         int wire_type, Told told)
    : io_(io),
      servers_(std::move(servers)),
      name_(std::move(name)),
      wire_type_(wire_type),
      told_(std::move(told)),
      timer_(io) {
  wait(std::chrono::seconds(0));
}

void RecordWatch::ask() {
  try {
    resolver_.emplace(io_, servers_);
  } catch (const std::runtime_error& error) {
    return hear(std::unexpected(error.what()));
  }
  resolver_->ask_authenticated(name_, wire_type_, [this](const Resolver::Message& answer) { hear(answer); });
}

void RecordWatch::hear(const Resolver::Message& answer) {
  const std::chrono::seconds held = told_(answer);
  wait(answer ? std::clamp(held, kShortest, kLongest) : kAfterFailure);
}

void RecordWatch::wait(std::chrono::seconds pause) {
  timer_.expires_after(pause);
  timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& cancelled) {
    if (!cancelled && !alive.expired()) ask();
  });
}

}  // namespace sluice::control
