// SPDX-License-Identifier: Apache-2.0
#include "controlplane/process/router_follower.h"

#include <fmt/format.h>

#include <set>
#include <string>
#include <utility>

#include "controlplane/base/mac_address.h"
#include "controlplane/model/ports.h"

namespace sluice::control {

RouterFollower::RouterFollower(boost::asio::io_context& io, const Model& model, ChannelClient& channel,
                               Journal& journal)
    : model_(model), channel_(channel), journal_(journal), retry_(io), routers_(io, [this](const RouterMove& move) {
        on_moved(move);
      }) {}

void RouterFollower::follow(const std::vector<config::Port>& ports) {
  std::set<std::string> twins;
  for (const config::Port& port : ports)
    if (port.faces != config::Faces::kBackends) twins.insert(port.twin);
  routers_.follow(std::move(twins));
}

void RouterFollower::stop() {
  routers_.stop();
  retry_.cancel();
}

void RouterFollower::on_moved(const RouterMove& move) {
  const BoundPort* port = find_by_twin(model_.ports(), move.twin);
  const auto now = std::chrono::steady_clock::now();
  if (now >= quiet_until_) {
    quiet_until_ = now + kQuiet;
    journal_.record(Severity::kInfo, "port", port == nullptr ? move.twin : port->name,
                    fmt::format("{} has moved from {} to {}: replies to clients behind it follow",
                                move.address.to_string(), to_string(move.from), to_string(move.to)));
  }
  if (waiting_.size() == kMaxWaiting) waiting_.pop_front();
  waiting_.push_back(move);
  if (waiting_.size() == 1) tell_those_that_wait();
}

void RouterFollower::tell_those_that_wait() {
  while (!waiting_.empty() && tell(waiting_.front())) waiting_.pop_front();
  if (waiting_.empty()) return;
  retry_.expires_after(kRetry);
  retry_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) tell_those_that_wait();
  });
}

bool RouterFollower::tell(const RouterMove& move) {
  const BoundPort* port = find_by_twin(model_.ports(), move.twin);
  if (port == nullptr || !port->index) return false;
  channel::MoveRouter message{};
  message.header = {channel::CommandType::kMoveRouter, 0, 0, 0};
  message.from = move.from;
  message.to = move.to;
  message.port_index = *port->index;
  return channel_.tell_workers({channel::Command(message)});
}

}  // namespace sluice::control
