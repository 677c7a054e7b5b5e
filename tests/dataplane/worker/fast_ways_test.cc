// SPDX-License-Identifier: Apache-2.0
//
// Open sessions of every kind on the fast path: what comes out, and what is known of them afterwards, is just what the
// slow path makes of the same segments. And the fast path is taken.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "dataplane/packet/packet.h"
#include "tests/dataplane/support/slow_path_only.h"
#include "tests/dataplane/support/worker_fixture.h"

namespace sluice::testing {
namespace {

using channel::Counter;
using channel::Forwarding;

/// What a server's SYN-ACK says of itself.
enum class Server { kAsTheClient, kSmallWindows, kBare };

struct Kind {
  const char* name;
  Forwarding forwarding = Forwarding::kNat;
  bool v6 = false;
  channel::ProxyHeader proxy = channel::ProxyHeader::kNone;
  bool cookies = false;  // SYNs are answered by the worker
  uint16_t front_vlan = 0, back_vlan = 0;
  Server server = Server::kAsTheClient;
  bool one_armed = false;

  BenchOptions bench() const {
    BenchOptions out;
    if (one_armed) out.front = out.back = Faces::kBoth;
    return out;
  }
  Bytes server_options() const {
    switch (server) {
      case Server::kBare:
        return {2, 4, 5, 0xb4};
      case Server::kSmallWindows:
        return {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0xc3, 0x50, 0, 0, 3, 0xe8, 1, 3, 3, 2};
      case Server::kAsTheClient:
        break;
    }
    return {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0xc3, 0x50, 0, 0, 3, 0xe8, 1, 3, 3, 7};
  }
  bool sees_both_ways() const { return forwarding <= Forwarding::kFullnat; }
  Endpoint client() const { return v6 ? kClient6 : kClient; }
  Endpoint vip() const { return v6 ? kVip6 : kVip; }
  Endpoint backend() const { return v6 ? backend6(0) : backend4(0); }
};

const Kind kKinds[]{
    {.name = "plain", .forwarding = Forwarding::kNat},
    {.name = "tagged clients", .front_vlan = 7},
    {.name = "tagged servers, IPv6", .v6 = true, .back_vlan = 200},
    {.name = "tags on both sides", .front_vlan = 7, .back_vlan = 200},
    {.name = "PROXY 1", .proxy = channel::ProxyHeader::kV1},
    {.name = "PROXY 2, IPv6, tags", .v6 = true, .proxy = channel::ProxyHeader::kV2, .front_vlan = 7, .back_vlan = 9},
    {.name = "SYN cookie", .cookies = true},
    {.name = "SYN cookie, IPv6", .v6 = true, .cookies = true},
    {.name = "SYN cookie, small windows", .cookies = true, .server = Server::kSmallWindows},
    {.name = "SYN cookie, a server without options", .cookies = true, .server = Server::kBare},
    {.name = "one port for both sides, tags", .front_vlan = 7, .back_vlan = 200, .one_armed = true},
    {.name = "fullnat, one port", .forwarding = Forwarding::kFullnat, .one_armed = true},
    {.name = "SYN cookie, PROXY", .proxy = channel::ProxyHeader::kV2, .cookies = true},
    {.name = "fullnat", .forwarding = Forwarding::kFullnat},
    {.name = "fullnat, IPv6", .forwarding = Forwarding::kFullnat, .v6 = true},
    {.name = "fullnat, PROXY, SYN cookie, tags",
     .forwarding = Forwarding::kFullnat,
     .proxy = channel::ProxyHeader::kV2,
     .cookies = true,
     .front_vlan = 7,
     .back_vlan = 200},
    {.name = "dsr", .forwarding = Forwarding::kDsr},
    {.name = "dsr, IPv6, tags", .forwarding = Forwarding::kDsr, .v6 = true, .front_vlan = 7, .back_vlan = 200},
    {.name = "ipip", .forwarding = Forwarding::kIpip},
    {.name = "ipip, IPv6", .forwarding = Forwarding::kIpip, .v6 = true, .back_vlan = 200},
    {.name = "gue", .forwarding = Forwarding::kGue, .front_vlan = 7},
    {.name = "gue, IPv6", .forwarding = Forwarding::kGue, .v6 = true},
};

/// A session of one kind through a worker, with both its ends.
class Session {
 public:
  explicit Session(const Kind& kind) : kind_(kind), bench_(kind.bench()) {
    bench_.put_local(0, kind.v6 ? address("fd00:1::1") : address("10.0.1.1"));
    bench_.put_backend(0, kind.backend(), channel::kBackendReachable, 1, kind.back_vlan);
    channel::PutService service{};
    service.forwarding = kind.forwarding;
    service.proxy = kind.proxy;
    if (kind.cookies) service.syn_proxy = channel::SynProxy::kAlways;
    bench_.put_service(0, kind.vip(), {0}, service);
    bench_.turn();
    EXPECT_EQ(bench_.counter(Counter::kCommandsRejected), 0U);
  }

  /// Up to where it is believed in. An inspection before it would make all go the slow path.
  void open() {
    client_next = 1001;
    client_sends(Frame().syn().seq(1000).tcp_options(kSynOptions));
    const auto first = step();
    if (kind_.cookies) {
      ASSERT_EQ(first.to_clients.size(), 1U);
      promised = first.to_clients[0].seq;
      client_sends(Frame().seq(1001).ack(promised + 1).tcp_options(stamp(1001, stamp_of(first.to_clients[0]))));
    }
    const auto asked = kind_.cookies ? step() : first;
    if (!kind_.sees_both_ways()) return converse();
    ASSERT_EQ(asked.to_backends.size(), 1U);
    at_backend_ = asked.to_backends[0].source;
    backend_sends(Frame().syn().seq(kServerFirst).ack(1001).tcp_options(kind_.server_options()));
    count_header(step());
    client_sends(Frame().seq(1001).ack(promised + 1).tcp_options(stamp(1002, 50'000)));
    count_header(step());
    server_next = kServerFirst + 1;
    backend_sends(Frame().seq(server_next).ack(1001 + header_bytes).tcp_options(stamp(50'001, 1002)));
    step();
  }

  /// As many segments as come in one burst; `oddly`: repeated, lost, forged, too long, from elsewhere.
  void say_something(std::mt19937& random, bool oddly) {
    const auto once_in = [&](unsigned n) { return random() % n == 0 && oddly; };
    // Nobody has heard yet what comes in the same burst.
    const uint32_t heard_by_client = client_sees_server(), heard_by_server = client_next + header_bytes;
    for (uint32_t n = 1 + random() % 5; n > 0; n--) {
      const bool from_client = !kind_.sees_both_ways() || random() % 2 == 0;
      const size_t bytes = once_in(32) ? 1300 + random() % 200 : random() % 300;
      const std::string text(random() % 4 == 0 ? 0 : bytes, 'x');
      uint32_t& own = from_client ? client_next : server_next;
      uint32_t sequence = own;
      uint32_t other = from_client ? heard_by_client : heard_by_server;
      if (once_in(8)) sequence -= static_cast<uint32_t>(random() % 600);   // once more
      if (once_in(16)) sequence += static_cast<uint32_t>(random() % 600);  // after what was lost
      if (once_in(8)) other -= static_cast<uint32_t>(random() % 200);
      if (once_in(64)) sequence += 1U << 31;  // nobody believes it
      Frame frame = Frame().seq(sequence).ack(other).payload(text).window(static_cast<uint16_t>(random()));
      switch (random() % 4) {
        case 0:
          break;
        case 1:  // options in another order, with edges of what came out of order
          frame.tcp_options(selective(other));
          break;
        default:
          frame.tcp_options(stamp(static_cast<uint32_t>(random()), static_cast<uint32_t>(random())));
      }
      if (once_in(32)) frame.ttl(1);
      std::optional<uint16_t> vlan;
      if (once_in(32)) vlan = static_cast<uint16_t>(random() % 3);
      station_ = once_in(32) ? mac(0xee) : WorkerBench::backend_mac(0);
      from_client ? client_sends(frame, vlan) : backend_sends(frame, vlan);
      if (sequence == own) own += static_cast<uint32_t>(text.size());
    }
    bench_.turn(1);
  }

  WorkerBench& bench() { return bench_; }

 private:
  static constexpr uint32_t kServerFirst = 5000;
  static inline const Bytes kSynOptions{2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 3, 0xe8, 0, 0, 0, 0, 1, 3, 3, 7};

  static Bytes word(uint32_t value) {
    return {static_cast<uint8_t>(value >> 24), static_cast<uint8_t>(value >> 16), static_cast<uint8_t>(value >> 8),
            static_cast<uint8_t>(value)};
  }
  static void append(Bytes& bytes, const Bytes& more) { bytes.insert(bytes.end(), more.begin(), more.end()); }
  static Bytes stamp(uint32_t value, uint32_t echo) {
    Bytes out{1, 1, 8, 10};
    append(out, word(value));
    append(out, word(echo));
    return out;
  }
  static Bytes selective(uint32_t ack) {
    Bytes out{8, 10};
    append(out, word(77));
    append(out, word(88));
    append(out, {1, 5, 10});
    append(out, word(ack + 100));
    append(out, word(ack + 300));
    return out;
  }
  /// The timestamp that a SYN-ACK brought.
  static uint32_t stamp_of(const ReadFrame& frame) {
    const Bytes& options = frame.tcp_options;
    for (size_t at = 0; at + 6 <= options.size();) {
      if (options[at] == 8) return load<Be32>(&options[at + 2]).host();
      at += options[at] == 1 ? 1U : options[at + 1];
    }
    return 0;
  }

  struct Out {
    std::vector<ReadFrame> to_clients, to_backends;
  };
  void count_header(const Out& out) {
    for (const ReadFrame& frame : out.to_backends) header_bytes += static_cast<uint32_t>(frame.payload.size());
  }
  Out step() {
    bench_.turn();
    Out out;
    out.to_clients = bench_.to_clients();
    if (kind_.sees_both_ways()) {
      out.to_backends = bench_.to_backends();
    } else {
      bench_.back().take();
    }
    return out;
  }

  void client_sends(Frame frame, std::optional<uint16_t> vlan = std::nullopt) {
    bench_.client_sends(frame.from(kind_.client()).to(kind_.vip()).vlan(vlan.value_or(kind_.front_vlan)));
  }
  void backend_sends(Frame frame, std::optional<uint16_t> vlan = std::nullopt) {
    frame.from(kind_.backend()).to(at_backend_).vlan(vlan.value_or(kind_.back_vlan));
    bench_.backend_sends(frame.from_mac(station_));
  }
  uint32_t client_sees_server() const { return promised + (server_next - kServerFirst); }

  /// Of a server that is not seen: the client hears, speaks, and hears more.
  void converse() {
    for (uint32_t heard : {1U, 31U}) {
      client_sends(Frame().seq(client_next).ack(kServerFirst + heard));
      step();
    }
    client_sends(Frame().seq(client_next).ack(kServerFirst + 31).payload("EHLO x\r\n"));
    client_next += 8;
    step();
    server_next = kServerFirst + 101;
    client_sends(Frame().seq(client_next).ack(server_next));
    step();
  }

  const Kind& kind_;
  WorkerBench bench_;
  Endpoint at_backend_;
  MacAddress station_ = WorkerBench::backend_mac(0);  // from which the backend's frames come

 public:
  uint32_t promised = kServerFirst;
  uint32_t client_next = 0, server_next = 0;  // as each counts itself
  uint32_t header_bytes = 0;                  // of PROXY
};

/// The same session through two workers, of which one has only its slow path.
struct Twice {
  explicit Twice(const Kind& kind) : fast(kind), slow(kind) {
    fast.open();
    slow.open();
    EXPECT_EQ(fast.promised, slow.promised);
    EXPECT_EQ(fast.bench().counter(Counter::kFlowsEstablishedNow), 1U);
    take_slow_path(slow.bench());
    for (WorkerBench* bench : {&fast.bench(), &slow.bench()}) bench->turn();
  }
  void expect_alike(int bursts, bool oddly = true) {
    for (int burst = 0; burst < bursts && !::testing::Test::HasFailure(); burst++) {
      SCOPED_TRACE("burst " + std::to_string(burst));
      fast.say_something(fast_random_, oddly);
      slow.say_something(slow_random_, oddly);
      ASSERT_EQ(fast.bench().front().take(), slow.bench().front().take());
      ASSERT_EQ(fast.bench().back().take(), slow.bench().back().take());
    }
    expect_same(fast.bench(), slow.bench());
    fast.bench().expect_counter_law();
  }

  const unsigned seed = ::testing::UnitTest::GetInstance()->random_seed() + 29U;
  Session fast, slow;

 private:
  std::mt19937 fast_random_{seed}, slow_random_{seed};
};

class FastWays : public ::testing::TestWithParam<Kind> {};

TEST_P(FastWays, GiveTheResultsOfTheSlowOne) {
  Twice session(GetParam());
  SCOPED_TRACE("seed " + std::to_string(session.seed));
  Session& fast = session.fast;
  const uint64_t slow_before = fast.bench().counter(Counter::kSlowPath);
  const uint64_t forwarded_before = fast.bench().counter(Counter::kForwarded);
  session.expect_alike(1000, false);
  EXPECT_GT(fast.bench().counter(Counter::kForwarded) - forwarded_before, 1500U);
  EXPECT_EQ(fast.bench().counter(Counter::kSlowPath), slow_before) << "what is ordinary takes the fast path";
  session.expect_alike(3000);
  EXPECT_GT(fast.bench().counter(Counter::kForwarded) - forwarded_before, 5000U);
}

/// What control may say of a flow's service, backend and way while it is open.
struct Change {
  const char* what;
  void (*make)(WorkerBench& bench, const Kind& kind);
};
void put_backend(WorkerBench& bench, const Kind& kind, uint8_t flags, uint16_t vlan) {
  bench.put_backend(0, kind.backend(), flags, 1, vlan);
}
const Change kChanges[]{
    {"its service is gone",
     [](WorkerBench& bench, const Kind&) { bench.command(channel::CommandType::kDropService, 0); }},
    {"its backend is gone",
     [](WorkerBench& bench, const Kind&) { bench.command(channel::CommandType::kDropBackend, 0); }},
    {"our address is gone",
     [](WorkerBench& bench, const Kind&) { bench.command(channel::CommandType::kDropLocal, 0); }},
    {"its backend is down",
     [](WorkerBench& bench, const Kind& kind) {
       put_backend(bench, kind, channel::kBackendReachable | channel::kBackendDown, kind.back_vlan);
     }},
    {"its backend leaves",
     [](WorkerBench& bench, const Kind& kind) {
       put_backend(bench, kind, channel::kBackendReachable | channel::kBackendLeaving, kind.back_vlan);
     }},
    {"its backend cannot be reached",
     [](WorkerBench& bench, const Kind& kind) { put_backend(bench, kind, 0, kind.back_vlan); }},
    {"its backend is in another VLAN",
     [](WorkerBench& bench, const Kind& kind) { put_backend(bench, kind, channel::kBackendReachable, 333); }},
};

TEST_P(FastWays, FollowWhatControlSaysAsTheSlowOneDoes) {
  for (const Change& change : kChanges) {
    SCOPED_TRACE(change.what);
    Twice session(GetParam());
    SCOPED_TRACE("seed " + std::to_string(session.seed));
    session.expect_alike(20);
    for (WorkerBench* bench : {&session.fast.bench(), &session.slow.bench()}) change.make(*bench, GetParam());
    session.expect_alike(60);
    if (::testing::Test::HasFailure()) return;
  }
}

std::string name_of(const ::testing::TestParamInfo<Kind>& test) {
  std::string name = test.param.name;
  std::ranges::replace_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Kinds, FastWays, ::testing::ValuesIn(kKinds), name_of);

}  // namespace
}  // namespace sluice::testing
