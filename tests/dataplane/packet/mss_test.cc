// SPDX-License-Identifier: Apache-2.0
//
// MSS clamping of SYN and SYN-ACK through the worker.
#include <gtest/gtest.h>

#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

constexpr uint16_t kMss = 1400;  // 0x0578

struct Case {
  const char* description;
  Bytes options;  // padded to whole words with zeros
  Bytes expected;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases{
      {"none", {}, {}},
      {"above", {2, 4, 0x05, 0xb4}, {2, 4, 0x05, 0x78}},
      {"equal", {2, 4, 0x05, 0x78}, {2, 4, 0x05, 0x78}},
      {"below", {2, 4, 0x02, 0x18}, {2, 4, 0x02, 0x18}},
      {"the highest", {2, 4, 0xff, 0xff}, {2, 4, 0x05, 0x78}},
      {"behind others, at an even place",
       {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 0x05, 0xb4},
       {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 0x05, 0x78}},
      {"at an odd place", {1, 2, 4, 0x05, 0xb4, 1, 1, 1}, {1, 2, 4, 0x05, 0x78, 1, 1, 1}},
      {"at an odd place, the highest", {3, 3, 7, 2, 4, 0xff, 0xff, 1}, {3, 3, 7, 2, 4, 0x05, 0x78, 1}},
      {"as in any Linux SYN",
       {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7},
       {2, 4, 0x05, 0x78, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7}},
      {"behind the end of options", {0, 0, 0, 0, 2, 4, 0x05, 0xb4}, {0, 0, 0, 0, 2, 4, 0x05, 0xb4}},
      {"of a wrong length", {2, 3, 0x05, 1, 1, 1, 1, 1}, {2, 3, 0x05, 1, 1, 1, 1, 1}},
      {"longer than the header", {1, 1, 1, 1, 1, 2, 4, 0xff}, {1, 1, 1, 1, 1, 2, 4, 0xff}},
      {"cut off behind its kind", {1, 1, 1, 2}, {1, 1, 1, 2}},
      {"behind an option of length 0", {8, 0, 2, 4, 0x05, 0xb4, 1, 1}, {8, 0, 2, 4, 0x05, 0xb4, 1, 1}},
      {"behind an option of length 1", {8, 1, 2, 4, 0x05, 0xb4, 1, 1}, {8, 1, 2, 4, 0x05, 0xb4, 1, 1}},
  };
  return kCases;
}

struct Family {
  const char* name;
  Endpoint client, vip, backend;
};
const Family kV4{"IPv4", endpoint("198.51.100.7", 40000), endpoint("192.0.2.25", 25), endpoint("10.0.1.10", 2525)};
const Family kV6{"IPv6", endpoint("2001:db8:1::7", 40000), endpoint("2001:db8:25::25", 25),
                 endpoint("fd00:1::10", 2525)};

void run(const Family& f, uint16_t mss) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(std::string(f.name) + ", " + c.description);
    const Bytes& expected = mss == 0 ? c.options : c.expected;
    WorkerBench bench;
    bench.put_backend(0, f.backend);
    channel::PutService service{};
    service.mss = mss;
    bench.put_service(0, f.vip, {0}, service);
    // What comes out has been read with its checksum verified in full.
    const auto syn = bench.client_to_backend(Frame().from(f.client).to(f.vip).syn().seq(1).tcp_options(c.options));
    ASSERT_TRUE(syn.has_value());
    EXPECT_EQ(syn->tcp_options, expected);
    const auto answer =
        bench.backend_to_client(Frame().from(f.backend).to(f.client).syn().seq(9).ack(2).tcp_options(c.options));
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->tcp_options, expected);
    // Only SYNs announce; what looks like an MSS elsewhere is not ours to change.
    const auto ack = bench.client_to_backend(Frame().from(f.client).to(f.vip).seq(2).ack(10).tcp_options(c.options));
    ASSERT_TRUE(ack.has_value());
    EXPECT_EQ(ack->tcp_options, c.options);
    bench.expect_counter_law();
  }
}

TEST(ClampMss, LowersTheOptionInSynAndSynAck) {
  run(kV4, kMss);
  run(kV6, kMss);
}

TEST(ClampMss, LeavesAllWhenSwitchedOff) {
  run(kV4, 0);
  run(kV6, 0);
}

}  // namespace
}  // namespace sluice::testing
