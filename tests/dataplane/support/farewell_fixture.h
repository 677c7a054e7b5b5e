// SPDX-License-Identifier: Apache-2.0
//
// A worker whose backends can leave, and a session through it that is played a segment at a time.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/dataplane/support/syn_proxy_fixture.h"

namespace sluice::testing {

using channel::Counter, channel::SessionEnd, channel::SessionParty, channel::SmtpCounter;

inline constexpr uint8_t kFin = 0x01, kRst = 0x04, kPsh = 0x08, kAck = 0x10;
inline const std::string kLine = std::string("421 ") + channel::kDefaultRefusal + "\r\n";
inline const Endpoint kTlsVip = endpoint("192.0.2.25", 465);

/// Service 0 (IPv4) over backend 0, 1 (IPv6) over backend 3, and 2 with implicit TLS over backend 0.
class FarewellTest : public ::testing::Test {
 protected:
  explicit FarewellTest(const BenchOptions& options = {}) : bench_(options) {}
  void SetUp() override { configure({}); }
  void TearDown() override { bench_.expect_counter_law(); }

  void configure(const channel::PutService& message, uint16_t vlan = 0) {
    if (message.forwarding == channel::Forwarding::kFullnat) {
      bench_.put_local(0, address("10.0.1.1"));
      bench_.put_local(1, address("fd00:1::1"));
    }
    vlan_ = vlan;
    put_backends(channel::kBackendReachable);
    bench_.put_service(0, kVip, {0}, message);
    bench_.put_service(1, kVip6, {3}, message);
    bench_.put_service(2, kTlsVip, {0}, message);
    turns();
    ASSERT_EQ(count(Counter::kCommandsRejected), 0u);
  }
  void put_backends(uint8_t flags) {
    bench_.put_backend(0, backend4(0), flags, 1, vlan_);
    bench_.put_backend(3, backend6(3), flags, 1, vlan_);
  }
  void leave() {
    put_backends(channel::kBackendReachable | channel::kBackendLeaving);
    turns();
  }
  void stay() {
    put_backends(channel::kBackendReachable);
    turns();
  }
  void turns(uint64_t advance_ms = 0) {
    bench_.turn(advance_ms);
    bench_.turns(2);
  }

  struct Came {
    std::vector<ReadFrame> to_client, to_server;
  };
  Came came() { return {bench_.to_clients(), bench_.to_backends()}; }

  /// A handshake, and the greeting.
  void connect(const Endpoint& client = kClient, const Endpoint& vip = kVip, uint16_t client_vlan = 0) {
    client_ = client;
    vip_ = vip;
    client_vlan_ = client_vlan;
    up_ = 1001;
    down_ = 5001;
    bench_.client_sends(Frame().from(client).to(vip).vlan(client_vlan).syn().seq(1000));
    turns();
    const auto syn = bench_.to_backends();
    ASSERT_EQ(syn.size(), 1u);
    server_ = syn[0].destination;
    client_at_server_ = syn[0].source;
    bench_.backend_sends(Frame().from(server_).to(client_at_server_).vlan(vlan_).syn().seq(5000).ack(1001));
    turns();
    bench_.client_sends(up());
    turns();
    header_ = 0;
    for (const ReadFrame& frame : bench_.to_backends()) header_ += static_cast<uint32_t>(frame.payload.size());
    bench_.to_clients();
  }
  void greet() { server_says("220 mx ESMTP\r\n"); }

  Frame up() const { return Frame().from(client_).to(vip_).vlan(client_vlan_).seq(up_).ack(down_); }
  /// In the server's own numbers.
  Frame down() const { return Frame().from(server_).to(client_at_server_).vlan(vlan_).seq(down_).ack(up_ + header_); }

  /// What is said, and goes on as it was said; the other side acknowledges it.
  void client_says(const std::string& text) {
    bench_.client_sends(up().psh().payload(text));
    turns();
    const Came out = came();
    ASSERT_EQ(out.to_server.size(), 1u) << text;
    ASSERT_TRUE(out.to_client.empty()) << text;
    up_ += static_cast<uint32_t>(text.size());
  }
  void server_says(const std::string& text) {
    bench_.backend_sends(down().psh().payload(text));
    turns();
    ASSERT_EQ(bench_.to_clients().size(), 1u) << text;
    down_ += static_cast<uint32_t>(text.size());
    bench_.client_sends(up());
    turns();
    ASSERT_EQ(bench_.to_backends().size(), 1u) << text;
  }
  void exchange(const std::string& command, const std::string& reply) {
    ASSERT_NO_FATAL_FAILURE(client_says(command));
    ASSERT_NO_FATAL_FAILURE(server_says(reply));
  }
  void send_message() {
    exchange("MAIL FROM:<a@example.org>\r\n", "250 ok\r\n");
    exchange("RCPT TO:<b@example.net>\r\n", "250 ok\r\n");
    exchange("DATA\r\n", "354 go\r\n");
    exchange("Subject: x\r\n\r\nx\r\n.\r\n", "250 queued\r\n");
  }

  /// The client's next command is answered with 421 and a FIN, and the server gets a reset, both at the very numbers.
  void expect_told(const std::string& command, const Bytes& options = {}) {
    bench_.client_sends(up().psh().payload(command).tcp_options(options));
    turns();
    const uint32_t acked = up_ + static_cast<uint32_t>(command.size());
    const Came out = came();
    ASSERT_EQ(out.to_client.size(), 1u) << command;
    expect_line(out.to_client[0], acked);
    ASSERT_EQ(out.to_server.size(), 1u) << command;
    expect_reset(out.to_server[0]);
    up_ = acked;
  }
  void expect_line(const ReadFrame& frame, uint32_t acked) const {
    EXPECT_EQ(frame.source, vip_);
    EXPECT_EQ(frame.destination, client_);
    EXPECT_EQ(frame.vlan, client_vlan_);
    EXPECT_EQ(frame.destination_mac, mac(0xc1));
    EXPECT_EQ(frame.flags, kFin | kPsh | kAck);
    EXPECT_EQ(frame.seq, down_);
    EXPECT_EQ(frame.ack, acked);
    EXPECT_EQ(text(frame), kLine);
  }
  void expect_reset(const ReadFrame& frame) const {
    EXPECT_EQ(frame.source, client_at_server_);
    EXPECT_EQ(frame.destination, server_);
    EXPECT_EQ(frame.vlan, vlan_);
    EXPECT_EQ(frame.flags & (kRst | kFin), kRst);
    EXPECT_EQ(frame.seq, up_ + header_) << "or the server would not believe it (RFC 5961 section 3.2)";
  }
  /// It goes on to the server as any segment.
  void expect_forwarded(const std::string& words) {
    ASSERT_NO_FATAL_FAILURE(client_says(words));
    EXPECT_EQ(count(Counter::kFlowsTold), 0u) << words;
  }
  /// Behind our FIN.
  uint32_t end() const { return down_ + static_cast<uint32_t>(kLine.size()) + 1; }

  uint64_t count(Counter counter) const { return bench_.counter(counter); }

  WorkerBench bench_;
  Endpoint client_, vip_, server_, client_at_server_;
  uint16_t vlan_ = 0, client_vlan_ = 0;
  uint32_t up_ = 0, down_ = 0, header_ = 0;
};

}  // namespace sluice::testing
