// SPDX-License-Identifier: Apache-2.0
//
// Traffic out of bytes: every sequence of bytes is read as steps of a conversation between a few clients and backends
// through a worker, good and bad, with control's commands in between. What a fuzzer mutates stays near to valid, and
// random bytes make long and varied conversations. The same bytes always give the same steps.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/contract/messages.h"
#include "tests/dataplane/support/frame.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {

struct Step {
  enum class Kind { kClientFrame, kBackendFrame, kCommand, kWait, kTurn };
  Kind kind = Kind::kTurn;
  std::vector<Bytes> frames;  // of one side: fragments are several
  channel::Command command;
  uint64_t wait_ms = 0;
};

class Traffic {
 public:
  /// `hostile`: with commands of any content, raw frames, and waits that outlast timers.
  Traffic(std::span<const uint8_t> bytes, bool hostile) : bytes_(bytes), hostile_(hostile) {}

  /// Puts the backends and services that the traffic is about before the bench's workers: NAT over IPv4 and IPv6, one
  /// with PROXY headers, one with an MSS clamp, one whose table holds ids that do not exist.
  static void configure(WorkerBench& bench);

  /// Nothing once the bytes are used up.
  std::optional<Step> next();

 private:
  static constexpr uint32_t kClients = 8;
  static constexpr uint32_t kServices = 5;

  /// What a client has with a service, as far as the numbers go.
  struct Conversation {
    uint32_t client_next = 1000;
    uint32_t server_next = 5000;
  };

  uint8_t byte();
  uint16_t word() { return static_cast<uint16_t>(byte() << 8 | byte()); }
  Bytes raw(size_t at_most);
  Bytes payload(bool from_client);
  Frame segment(uint32_t client, uint32_t service, bool from_client);
  Bytes icmp(uint32_t client, uint32_t service, bool from_client);
  channel::Command command();
  void spoil(Bytes& frame);

  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
  bool hostile_;
  uint32_t fragment_id_ = 1;
  std::array<std::array<Conversation, kServices>, kClients> conversations_{};
};

}  // namespace sluice::testing
