// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/ownership.h"

#include <gtest/gtest.h>

#include "dataplane/flow/local_ports.h"
#include "tests/dataplane/support/parts_fixture.h"

namespace sluice::testing {
namespace {

constexpr uint32_t kWorkers = 3;

class OwnershipTest : public PartsTest {
 protected:
  static Endpoint local(uint16_t port) { return endpoint("10.0.1.1", port); }

  void SetUp() override {
    PartsTest::SetUp();
    put_backend(0);
    put_service({0});
    channel::PutLocal message{};
    message.header = {channel::CommandType::kPutLocal, 0, 0, 0};
    message.key = 5000;
    message.address = local(0).address;
    message.generation = 1;
    message.port_index = kBack;
    ASSERT_FALSE(state_.apply(channel::Command(message)));
    setup_.index = 1;
    setup_.workers = kWorkers;
  }
  Ownership ownership() const { return {setup_, flows_, state_}; }
  uint32_t of_client(const Endpoint& client) const {
    return OwnerTable({kWorkers, kMostClasses}, flows_.hash_seed()).of(client);
  }
  uint32_t of_reply(const Endpoint& to) const { return ownership().of_reply(to); }
  uint32_t of_quoted(const Endpoint& source, const Endpoint& destination) const {
    IcmpError error{};
    error.source = source;
    error.destination = destination;
    return ownership().of_quoted(error);
  }
};

TEST_F(OwnershipTest, FollowsTheClient) {
  for (uint16_t n = 0; n < 50; n++) {
    EXPECT_EQ(ownership().of_client(client(n)), of_client(client(n)));
    EXPECT_EQ(of_reply(client(n)), of_client(client(n)));
  }
}

TEST_F(OwnershipTest, FollowsThePortOfAReplyToAnAddressOfOurs) {
  for (uint16_t n = 0; n < 50; n++) {
    for (uint32_t worker = 0; worker < kWorkers; worker++) {
      EXPECT_EQ(of_reply(local(local_port(n, worker, kWorkers).host())), worker);
    }
  }
}

TEST_F(OwnershipTest, APortOfTheKernelsOrAnotherAddressIsAClients) {
  for (uint16_t n = 0; n < 50; n++) {
    const auto kernels = static_cast<uint16_t>(channel::kLastLocalPort + 1 + n);
    EXPECT_EQ(of_reply(local(kernels)), of_client(local(kernels)));
    const Endpoint other = endpoint("10.0.1.2", static_cast<uint16_t>(channel::kFirstLocalPort + n));
    EXPECT_EQ(of_reply(other), of_client(other));
  }
}

TEST_F(OwnershipTest, AnIcmpErrorGoesToTheOwnerOfTheFlowThatItQuotes) {
  for (uint16_t n = 0; n < 50; n++) {
    EXPECT_EQ(of_quoted(vip(), client(n)), of_client(client(n))) << "from the client's side";
    EXPECT_EQ(of_quoted(client(n), backend(0)), of_client(client(n))) << "from the backend's side";
    const Endpoint ours = local(local_port(n, n % kWorkers, kWorkers).host());
    EXPECT_EQ(of_quoted(ours, backend(0)), n % kWorkers) << "likewise, of a fullnat flow";
    EXPECT_EQ(of_quoted(vip(), ours), of_client(ours)) << "a client that has an address like ours is a client";
  }
}

}  // namespace
}  // namespace sluice::testing
