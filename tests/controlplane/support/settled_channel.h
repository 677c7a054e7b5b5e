// SPDX-License-Identifier: Apache-2.0
//
// What a test needs whose subject lives on a channel that works: a client, and a data plane of which only the channel
// is real. To be derived from beside a fixture.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <utility>

#include "controlplane/channel/client.h"
#include "tests/controlplane/support/fake_dataplane.h"
#include "tests/controlplane/support/state_directory.h"

namespace sluice::control {

class SettledChannel {
 protected:
  static constexpr uint32_t kWorkers = 2;

  explicit SettledChannel(ChannelClient::Handlers handlers = {})
      : dataplane_(directory_.file("channel.sock"), kWorkers),
        client_(io_, directory_.file("channel.sock"), std::move(handlers),
                ChannelClient::Retry{std::chrono::milliseconds(1), std::chrono::milliseconds(4)}) {}

  /// Connects, and goes on until the data plane has what is desired.
  void settle(const Desired& desired) {
    client_.publish(desired, ChannelClient::Clock::now());
    client_.start();
    run_until([&] { return client_.is_settled(); });
  }
  /// Whatever lives on the channel goes after this.
  void close() {
    client_.stop();
    io_.poll();
  }

  template <typename Condition>
  void run_until(Condition done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "nothing came of it";
      io_.run_for(std::chrono::microseconds(200));
      io_.restart();
      dataplane_.accept_one();
      dataplane_.apply_all();
    }
  }

  StateDirectory directory_;
  boost::asio::io_context io_;
  FakeDataplane dataplane_;
  ChannelClient client_;
};

}  // namespace sluice::control
