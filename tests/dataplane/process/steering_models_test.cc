// SPDX-License-Identifier: Apache-2.0
//
// Cards that hash as drivers' do, modelled in software before real workers: whatever a card makes of what it was told,
// no session is lost, and what is found out of it is true.
#include <gtest/gtest.h>
#include <rte_thash.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/flow/local_ports.h"
#include "dataplane/process/steering_finding.h"
#include "tests/dataplane/support/fragmented.h"
#include "tests/dataplane/support/icmp_frame.h"
#include "tests/dataplane/support/worker_bench.h"

namespace sluice::testing {
namespace {

using channel::Counter;
using channel::Steering;
using channel::SteeringFault;

enum class Fields : uint8_t { kPacked, kInPlace, kAll, kNone };
enum class Key : uint8_t { kOurs, kPeriod32, kMicrosoft };
enum class Table : uint8_t { kOurs, kRoundRobin };

struct Card {
  const char* description;
  Fields fields = Fields::kPacked;
  Key key = Key::kOurs;
  Table table = Table::kOurs;
  uint32_t entries = 512;
  bool gives_hash = true;
  Steering state = Steering::kSteers;
  SteeringFault fault = SteeringFault::kUnknown;
};

constexpr uint32_t kClasses = 64;  // another port's table is no larger

const Card kCards[] = {
    {.description = "fields are packed (cnxk, ice)"},
    {.description = "fields keep their places", .fields = Fields::kInPlace},
    {.description = "no hash is given (no offload)", .gives_hash = false},
    {.description = "a table as small as there are classes", .entries = kClasses},
    {.description = "the driver's own key (Microsoft's)",
     .key = Key::kMicrosoft,
     .state = Steering::kMisplaces,
     .fault = SteeringFault::kKey},
    {.description = "likewise, with a period of 32 bits (cnxk), fields in place",
     .fields = Fields::kInPlace,
     .key = Key::kPeriod32,
     .state = Steering::kMisplaces,
     .fault = SteeringFault::kKey},
    {.description = "sides are ignored, without an error (mlx5 with hardware steering)",
     .fields = Fields::kAll,
     .state = Steering::kMisplaces,
     .fault = SteeringFault::kFields},
    {.description = "likewise, and no hash is given",
     .fields = Fields::kAll,
     .gives_hash = false,
     .state = Steering::kMisplaces},
    {.description = "the redirection table is the driver's",
     .table = Table::kRoundRobin,
     .state = Steering::kMisplaces,
     .fault = SteeringFault::kTable},
    {.description = "everything comes to queue 0 (safe mode, IPv6 of some)",
     .fields = Fields::kNone,
     .gives_hash = false,
     .state = Steering::kMisplaces},
};

std::array<uint8_t, 40> key_of(Key key) {
  static constexpr uint8_t kMicrosoft[] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                           0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                           0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                           0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
  static constexpr uint8_t kFeed[] = {0xfe, 0xed, 0x0b, 0xad};
  std::array<uint8_t, 40> out{};
  for (size_t i = 0; i < out.size(); i++) {
    out[i] = key == Key::kMicrosoft ? kMicrosoft[i] : key == Key::kPeriod32 ? kFeed[i % 4] : i % 2 == 0 ? 0x6d : 0x5a;
  }
  return out;
}

void put_address(std::vector<uint32_t>& words, const Address& address, bool selected) {
  for (size_t i = address.is_v4() ? 12 : 0; i < 16; i += 4) {
    const uint8_t* at = &address.bytes[i];
    const uint32_t word = uint32_t{at[0]} << 24 | uint32_t{at[1]} << 16 | uint32_t{at[2]} << 8 | at[3];
    words.push_back(selected ? word : 0);
  }
}

/// The words that the card hashes, in host order.
std::vector<uint32_t> input_of(Fields fields, const ReadFrame& frame, bool by_source) {
  const bool source = by_source || fields == Fields::kAll, destination = !by_source || fields == Fields::kAll;
  std::vector<uint32_t> words;
  if (fields == Fields::kPacked) {
    const Endpoint& client = by_source ? frame.source : frame.destination;
    put_address(words, client.address, true);
    words.push_back(uint32_t{client.port.host()} << 16);
    return words;
  }
  put_address(words, frame.source.address, source);
  put_address(words, frame.destination.address, destination);
  words.push_back((source ? uint32_t{frame.source.port.host()} << 16 : 0) |
                  (destination ? uint32_t{frame.destination.port.host()} : 0));
  return words;
}

/// Two cards of one kind, and workers between them.
class Site {
 public:
  Site(const Card& card, uint32_t workers)
      : card_(card),
        bench_({.workers = workers, .steered = true, .classes = kClasses}),
        owners_({workers, kClasses}, bench_.worker().flows().hash_seed()) {
    bench_.put_backend(0, endpoint("10.0.1.10", 2525));
    bench_.put_backend(1, endpoint("fd00:1::10", 2525));
    bench_.put_service(0, vip(0), {0});
    bench_.put_service(1, vip(1), {1});
    bench_.turn();
  }

  static Endpoint vip(uint32_t n) { return n % 2 == 0 ? endpoint("192.0.2.25", 25) : endpoint("2001:db8:25::25", 25); }
  static Endpoint backend(uint32_t n) {
    return n % 2 == 0 ? endpoint("10.0.1.10", 2525) : endpoint("fd00:1::10", 2525);
  }
  static Endpoint client(uint32_t n) {
    const auto port = static_cast<uint16_t>(20000 + n * 7);
    if (n % 2 == 1) return endpoint("2001:db8:7::" + std::to_string(n), port);
    return endpoint("198.51.100." + std::to_string(n % 200), port);
  }

  void from_client(const Bytes& frame) { arrive(bench_.front(), frame, true); }
  void from_backend(const Bytes& frame) { arrive(bench_.back(), frame, false); }
  WorkerBench& bench() { return bench_; }

  SteeringFinding found(uint32_t port) const {
    std::vector<RssProof> proofs(bench_.workers());
    for (uint32_t worker = 0; worker < bench_.workers(); worker++) {
      const RssProof& from = bench_.proof(worker, port);
      proofs[worker].right = from.right.load();
      for (size_t i = 0; i < from.misplaced.size(); i++) proofs[worker].misplaced[i] = from.misplaced[i].load();
    }
    return find_steering(proofs);
  }

 private:
  /// Only whole TCP segments are hashed; what else there is comes to queue 0.
  void arrive(RingPort& port, const Bytes& frame, bool by_source) {
    rte_mbuf* mbuf = make_mbuf(port.pool(), frame);
    const auto seen = read(frame);
    if (!seen || card_.fields == Fields::kNone) return port.arrive(0, mbuf);
    auto words = input_of(card_.fields, *seen, by_source);
    const auto key = key_of(card_.key);
    const uint32_t hash = rte_softrss(words.data(), static_cast<uint32_t>(words.size()), key.data());
    if (card_.gives_hash) {
      mbuf->hash.rss = hash;
      mbuf->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
    }
    const uint32_t entry = hash & (card_.entries - 1);
    port.arrive(card_.table == Table::kOurs ? owners_.of_class(entry) : entry % bench_.workers(), mbuf);
  }

  const Card& card_;
  WorkerBench bench_;
  OwnerTable owners_;
};

constexpr uint32_t kClients = 90;

Frame to_vip(uint32_t n) {
  return Frame().from(Site::client(n)).to(Site::vip(n)).to_mac(WorkerBench::front_mac());
}
Frame to_client(uint32_t n) {
  return Frame()
      .from(Site::backend(n))
      .to(Site::client(n))
      .from_mac(WorkerBench::backend_mac(static_cast<uint16_t>(n % 2)))
      .to_mac(WorkerBench::back_mac());
}

/// Sends a frame of each client, or to each, and expects as many at the other side.
void play(Site& site, bool up, const std::function<Frame(uint32_t)>& frame_of) {
  size_t came = 0;
  for (uint32_t n = 0; n < kClients; n++) {
    up ? site.from_client(frame_of(n).bytes()) : site.from_backend(frame_of(n).bytes());
    if (n % 15 != 14) continue;
    site.bench().turn();
    came += up ? site.bench().to_backends().size() : site.bench().to_clients().size();
  }
  ASSERT_EQ(came, kClients);
}

void play_sessions(Site& site) {
  play(site, true, [](uint32_t n) { return to_vip(n).syn().seq(1000); });
  play(site, false, [](uint32_t n) { return to_client(n).syn().seq(5000).ack(1001); });
  play(site, true, [](uint32_t n) { return to_vip(n).seq(1001).ack(5001); });
  for (uint32_t round = 0; round < 18; round++) {
    play(site, true, [&](uint32_t n) { return to_vip(n).seq(1001 + round).ack(5001 + round).payload("x"); });
    play(site, false, [&](uint32_t n) { return to_client(n).seq(5001 + round).ack(1002 + round).payload("y"); });
  }
}

/// Fragments of a segment and an ICMP error about one, of IPv4 clients.
void play_strays(Site& site) {
  for (uint32_t n = 0; n < 20; n += 2) {
    const Bytes whole = to_vip(n).seq(1019).ack(5019).payload(std::string(900, 'z')).bytes();
    const auto pieces = cut(whole, 400, 100 + n);
    for (const Bytes& piece : pieces) {
      site.from_client(piece);
      site.bench().turn();
    }
    EXPECT_EQ(site.bench().back().take().size(), pieces.size()) << "client " << n;
    IcmpFrame error;
    error.destination_mac = WorkerBench::back_mac();
    error.source = Site::backend(n).address;
    error.destination = Site::client(n).address;
    error.type = 3;
    error.code = 1;
    error.quoted = ip_packet(Frame().from(Site::client(n)).to(Site::backend(n)).seq(1019).ack(5019).bytes(), 28);
    site.from_backend(error.bytes());
    site.bench().turn();
    EXPECT_EQ(site.bench().front().take().size(), 1u) << "client " << n;
  }
}

TEST(SteeringModels, NoSessionIsLostWhateverACardMakesOfIt) {
  for (const Card& card : kCards) {
    for (const uint32_t workers : {2U, 3U}) {
      SCOPED_TRACE(std::string(card.description) + ", " + std::to_string(workers) + " workers");
      Site site(card, workers);
      const WorkerBench& bench = site.bench();
      EXPECT_EQ(site.found(WorkerBench::kFront), (SteeringFinding{Steering::kUnproven, SteeringFault::kUnknown, 0}));
      play_sessions(site);
      play_strays(site);
      if (::testing::Test::HasFailure()) return;
      EXPECT_EQ(bench.counter(Counter::kFlowsEstablished), kClients);
      EXPECT_EQ(bench.counter(Counter::kFlowsCreated), kClients) << "none is split between workers";
      EXPECT_EQ(bench.counter(Counter::kFlowsAdopted), 0u);
      EXPECT_EQ(bench.drops(), 0u);
      bench.expect_counter_law();
      uint64_t misplaced = 0;
      for (const uint32_t port : {WorkerBench::kFront, WorkerBench::kBack}) {
        const SteeringFinding found = site.found(port);
        EXPECT_EQ(found.state, card.state) << "port " << port;
        EXPECT_EQ(found.fault, card.fault) << "port " << port;
        EXPECT_EQ(found.misplaced != 0, card.state == Steering::kMisplaces);
        misplaced += found.misplaced;
      }
      EXPECT_EQ(bench.counter(Counter::kRssMisplaced), misplaced);
    }
  }
}

TEST(SteeringModels, WhatCameBeforeTheCardWasToldIsNotHeldAgainstIt) {
  Site site(kCards[0], 2);
  const auto wrong = [&](uint32_t n) { return 1 - site.bench().owner(Site::client(n)); };
  const auto put = [&](uint32_t n) {
    site.bench().front().arrive(wrong(n), make_mbuf(site.bench().front().pool(), to_vip(n).syn().seq(1).bytes()));
  };
  // The bench's first turn has emptied the queues; a worker that starts with packets in them has not seen that yet.
  WorkerBench late({.workers = 2, .steered = true, .classes = kClasses});
  late.put_backend(0, Site::backend(0));
  late.put_service(0, Site::vip(0), {0});
  const uint32_t n = 4;
  const uint32_t other = 1 - late.owner(Site::client(n));
  late.front().arrive(other, make_mbuf(late.front().pool(), to_vip(n).syn().seq(1).bytes()));
  late.turn();
  EXPECT_EQ(late.to_backends().size(), 1u);
  EXPECT_EQ(late.counter(Counter::kHandedOut), late.counter(Counter::kHandedIn));
  EXPECT_EQ(late.counter(Counter::kRssMisplaced), 0u);
  put(n);
  site.bench().turn();
  EXPECT_EQ(site.bench().counter(Counter::kRssMisplaced), 1u);
}

TEST(SteeringModels, RepliesToAnAddressOfOursAreNotHeldAgainstACard) {
  // Of fullnat: the port tells the worker, which no card knows.
  Site site(kCards[0], 2);
  WorkerBench& bench = site.bench();
  bench.put_local(0, WorkerBench::own_back());
  bench.turn();
  const auto reply = [&](const Endpoint& to, uint32_t queue) {
    const Frame frame = to_client(0).to(to).seq(1).ack(1);
    bench.back().arrive(queue, make_mbuf(bench.back().pool(), frame.bytes()));
    bench.turn();
  };
  const Endpoint ours{WorkerBench::own_back(), local_port(0, 1, 2)};  // of worker 1
  reply(ours, 0);
  reply(ours, 1);
  EXPECT_EQ(bench.counter(Counter::kHandedOut), 1u);
  EXPECT_EQ(site.found(WorkerBench::kBack), (SteeringFinding{Steering::kUnproven, SteeringFault::kUnknown, 0}));
  const Endpoint client = Site::client(0);
  reply(client, bench.owner(client));
  EXPECT_EQ(bench.proof(bench.owner(client), WorkerBench::kBack).right.load(), 1u);
  reply(client, 1 - bench.owner(client));
  EXPECT_EQ(site.found(WorkerBench::kBack).misplaced, 1u);
  EXPECT_EQ(bench.counter(Counter::kRssMisplaced), 1u);
}

TEST(SteeringModels, WhatCardsSeeNoPortsOfIsNotHeldAgainstThem) {
  Site site(kCards[0], 2);
  WorkerBench& bench = site.bench();
  const uint32_t n = 2;
  const uint32_t wrong = 1 - bench.owner(Site::client(n));
  for (const Bytes& piece : cut(to_vip(n).seq(1).ack(1).payload(std::string(900, 'z')).bytes(), 400, 7)) {
    bench.front().arrive(wrong, make_mbuf(bench.front().pool(), piece));
    bench.turn();
  }
  EXPECT_GT(bench.counter(Counter::kHandedOut), 0u) << "the first piece is its owner's";
  EXPECT_EQ(bench.counter(Counter::kRssMisplaced), 0u);
}

TEST(SteeringModels, EveryQueueHasToBeProven) {
  std::vector<RssProof> queues(2);
  EXPECT_EQ(find_steering({}), SteeringFinding{});
  queues[0].right = 1'000'000;
  queues[1].right = kProvingSegments - 1;
  EXPECT_EQ(find_steering(queues).state, Steering::kUnproven);
  queues[1].right = kProvingSegments;
  EXPECT_EQ(find_steering(queues).state, Steering::kSteers);
}

TEST(SteeringModels, OddSegmentsAreNotHeldAgainstACard) {
  std::vector<RssProof> queues(2);
  auto& table = queues[1].misplaced[static_cast<size_t>(SteeringFault::kTable)];
  auto& key = queues[0].misplaced[static_cast<size_t>(SteeringFault::kKey)];
  table = kOddSegments;
  EXPECT_EQ(find_steering(queues), (SteeringFinding{Steering::kUnproven, SteeringFault::kUnknown, kOddSegments}));
  table = kOddSegments + 1;
  EXPECT_EQ(find_steering(queues), (SteeringFinding{Steering::kMisplaces, SteeringFault::kTable, kOddSegments + 1}))
      << "before there is proof";
  key = 100;
  EXPECT_EQ(find_steering(queues).fault, SteeringFault::kKey) << "the most frequent one";
  key = 0;
  for (RssProof& queue : queues) queue.right = kProvingSegments;
  EXPECT_EQ(find_steering(queues).state, Steering::kMisplaces);
  table = 1;
  EXPECT_EQ(find_steering(queues), (SteeringFinding{Steering::kSteers, SteeringFault::kUnknown, 1}));
  queues[0].right = queues[1].right = kRightToOneOdd * 1000;
  table = 2000;
  EXPECT_EQ(find_steering(queues).state, Steering::kSteers);
  table = 2001;
  EXPECT_EQ(find_steering(queues).state, Steering::kMisplaces);
  queues[0].right += kRightToOneOdd;
  EXPECT_EQ(find_steering(queues).state, Steering::kSteers) << "what is long past does not count for ever";
}

}  // namespace
}  // namespace sluice::testing
