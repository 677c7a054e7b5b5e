// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/exchange.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <rte_ring_elem.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dataplane/base/clock.h"
#include "dataplane/base/setup_error.h"
#include "dataplane/flow/local_ports.h"
#include "dataplane/peers/batch.h"
#include "dataplane/peers/passed_answer.h"

namespace sluice {
namespace {

constexpr uint32_t kReceivesPerTurn = 256, kTellsPerTurn = 4096, kTellBurst = 64;
constexpr uint32_t kAnswerBurst = (kMostTextBytes - kTextHeaderBytes) / kMostAnswerBytes;  // that fit a datagram
constexpr uint32_t kRefreshedPerTurn = 256;  // entries: at most some 5 MB in a second, to each peer
constexpr uint32_t kPassedOnPerTurn = 1024;  // entries likewise, few of them told
constexpr uint32_t kSweepMs = 60'000;        // for the whole table
constexpr uint64_t kHelloEveryMs = 1000, kAnswerEveryMs = 100;
constexpr uint32_t kMsPerS = 1000;
constexpr int kSocketBytes = 4 << 20;

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
};

SocketAddress socket_address(const Endpoint& endpoint) {
  SocketAddress out;
  if (endpoint.address.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(out.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = endpoint.port.raw;
    v4.sin_addr.s_addr = endpoint.address.v4_part().raw;
    out.bytes = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(out.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = endpoint.port.raw;
    std::memcpy(&v6.sin6_addr, endpoint.address.bytes.data(), sizeof v6.sin6_addr);
    out.bytes = sizeof v6;
  }
  return out;
}

Endpoint endpoint_of(const sockaddr_storage& storage) {
  Endpoint out;
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    out = {Address::v4(Be32{v4.sin_addr.s_addr}), Be16{v4.sin_port}};
  } else if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    std::memcpy(out.address.bytes.data(), &v6.sin6_addr, sizeof v6.sin6_addr);
    out.port = Be16{v6.sin6_port};
  }
  return out;
}

Descriptor open_socket(const Endpoint& listen) {
  const SocketAddress at = socket_address(listen);
  Descriptor out(socket(at.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto fault = [](const char* what) {
    return SetupError(fmt::format("fleet.peers.listen: {}: {}", what, std::strerror(errno)));
  };
  if (!out) throw fault("no socket");
  const int bytes = kSocketBytes;  // what the system allows of it is enough
  setsockopt(out.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  setsockopt(out.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  if (bind(out.get(), reinterpret_cast<const sockaddr*>(&at.storage), at.bytes) != 0) throw fault("cannot be used");
  return out;
}

void add(uint64_t& counter, uint64_t n = 1) {
  __atomic_store_n(&counter, counter + n, __ATOMIC_RELAXED);
}

uint64_t now_in_ms() {
  return monotonic_ns() / 1'000'000;
}

}  // namespace

Exchange::Exchange(ExchangeOptions options, std::vector<TellingWorker> workers, ToldTable& table,
                   channel::PeersStatus& status)
    : options_(std::move(options)),
      workers_(std::move(workers)),
      table_(table),
      status_(status),
      session_(draw_random()),
      seal_(options_.secret, session_, true),
      socket_(open_socket(options_.listen)) {
  for (size_t i = 0; i < options_.to.size(); i++) {
    peers_.push_back({.link = PeerLink(options_.secret, session_), .text = {}});
    status_.peer[i].at = options_.to[i];
  }
  status_.table_capacity = table_.most_flows();
  swept_ms_ = now_in_ms();
  if (!peers_.empty()) await_words(swept_ms_);
  __atomic_store_n(&status_.peers, peers_.size(), __ATOMIC_RELEASE);
}

void Exchange::turn(int wait_ms) {
  pollfd waiting{socket_.get(), POLLIN, 0};
  poll(&waiting, 1, wait_ms);
  const uint64_t now_ms = now_in_ms();
  receive(now_ms);
  drain_tells(now_ms);
  drain_answers();
  refresh_some(now_ms);
  for (uint32_t peer = 0; peer < peers_.size(); peer++) {
    pass_on_some(peer, now_ms);
    flush(peer);
    if (now_ms - peers_[peer].hello_ms >= kHelloEveryMs) greet(peer, 0, now_ms);
  }
  expire_some(now_ms);
  __atomic_store_n(&status_.table_now, table_.size(), __ATOMIC_RELAXED);
}

void Exchange::receive(uint64_t now_ms) {
  std::array<uint8_t, kMostDatagramBytes + 1> bytes;
  for (uint32_t i = 0; i < kReceivesPerTurn; i++) {
    sockaddr_storage from{};
    socklen_t from_bytes = sizeof from;
    const ssize_t n = recvfrom(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT,
                               reinterpret_cast<sockaddr*>(&from), &from_bytes);
    if (n < 0 && errno == EAGAIN) return;
    if (n < 0) continue;  // an earlier datagram of ours has met nobody
    const auto peer = std::ranges::find(options_.to, endpoint_of(from));
    if (peer == options_.to.end()) {
      add(status_.drop_stranger);
      continue;
    }
    take(static_cast<uint32_t>(peer - options_.to.begin()), {bytes.data(), static_cast<size_t>(n)}, now_ms);
  }
}

void Exchange::take(uint32_t index, std::span<const uint8_t> datagram, uint64_t now_ms) {
  using Verdict = PeerLink::Verdict;
  Peer& peer = peers_[index];
  channel::PeerStatus& status = status_.peer[index];
  std::array<uint8_t, kMostTextBytes> text;
  const bool was_known = peer.link.has_session();
  const PeerLink::Opened opened = peer.link.open(datagram, text.data());
  if (opened.verdict == Verdict::kForged) return add(status_.drop_forged);
  if (opened.verdict == Verdict::kReplayed) return add(status_.drop_replayed);
  if (opened.verdict == Verdict::kMalformed) add(status_.drop_malformed);
  if (opened.verdict == Verdict::kGreeting) {
    if (now_ms - peer.answered_ms < kAnswerEveryMs) return;
    peer.answered_ms = now_ms;
    return greet(index, opened.answer_echo, now_ms);
  }
  __atomic_store_n(&status.last_heard_ms, now_ms, __ATOMIC_RELAXED);
  add(status.datagrams);
  if (opened.verdict == Verdict::kHello) {
    std::array<char, channel::kNodeNameBytes> name{};
    std::ranges::transform(opened.node, name.begin(), [](char c) { return c > ' ' && c < 0x7f ? c : '?'; });
    std::memcpy(status.node, name.data(), sizeof status.node);
  }
  if (opened.begins) {
    if (was_known) {
      add(status.forgotten_after_restart);
    } else {
      await_words(now_ms);
    }
    peer.began_ms = now_ms;
    peer.passed_on = 0;
    greet(index, 0, now_ms);
    refreshed_ms_ = refresh_worker_ = refresh_flow_ = 0;  // all over: it knows nothing
  }
  if (opened.verdict == Verdict::kFlows) learn(index, opened.body, now_ms);
  if (opened.verdict == Verdict::kAnswers) hand_on(opened.body);
}

void Exchange::learn(uint32_t peer, std::span<const uint8_t> flows, uint64_t now_ms) {
  channel::PeerStatus& status = status_.peer[peer];
  while (!flows.empty()) {
    const auto flow = take_flow(flows);
    if (!flow) return add(status_.drop_malformed);
    if (flow->stage == FlowStage::kEnded) {
      table_.erase(flow->client, flow->vip, peer, kHearsay);
      add(status.ends_learned);
      continue;
    }
    add(status.flows_learned);
    const bool hearsay = flow->stage == FlowStage::kHearsay;
    if (hearsay && table_.from_client(flow->client, flow->vip)) continue;  // its own node's word counts more
    const ToldTable::Put put = table_.put(*flow, hearsay ? kHearsay : peer, static_cast<uint32_t>(now_ms / kMsPerS));
    if (put == ToldTable::Put::kDisplaced || put == ToldTable::Put::kNoRoom) add(status_.displaced);
  }
}

/// What finds no room is lost: the server answers again.
void Exchange::hand_on(std::span<const uint8_t> answers) {
  while (!answers.empty()) {
    auto answer = take_answer(answers);
    if (!answer) return add(status_.drop_malformed);
    for (const TellingWorker& worker : workers_) rte_ring_sp_enqueue_elem(worker.answers_in, &*answer, sizeof *answer);
  }
}

void Exchange::drain_answers() {
  std::array<PassedAnswer, kAnswerBurst> answers;
  for (const TellingWorker& worker : workers_) {
    for (uint32_t taken = 0; taken < kAnswerRingEntries;) {
      const unsigned n = rte_ring_sc_dequeue_burst_elem(worker.answers_out, answers.data(), sizeof(PassedAnswer),
                                                        answers.size(), nullptr);
      if (n == 0) break;
      taken += n;
      pass_on({answers.data(), n});
    }
  }
}

/// What fits a datagram, to all peers.
void Exchange::pass_on(std::span<const PassedAnswer> answers) {
  for (uint32_t peer = 0; peer < peers_.size(); peer++) {
    if (!peers_[peer].link.is_open()) continue;
    std::array<uint8_t, kMostTextBytes> text;
    size_t used = peers_[peer].link.write_answers_header(text.data());
    for (const PassedAnswer& answer : answers) append_answer(text, used, answer);
    send(peer, {text.data(), used});
  }
}

void Exchange::drain_tells(uint64_t now_ms) {
  for (uint32_t index = 0; index < workers_.size(); index++) {
    const TellingWorker& worker = workers_[index];
    for (uint32_t taken = 0; taken < kTellsPerTurn;) {
      std::array<FlowIndex, kTellBurst> flows;
      const unsigned n =
          rte_ring_sc_dequeue_burst_elem(worker.tells, flows.data(), sizeof(FlowIndex), flows.size(), nullptr);
      if (n == 0) break;
      taken += n;
      for (unsigned i = 0; i < n; i++) {
        if (const auto flow = worker.flows.at(flows[i])) tell_own(index, *flow, now_ms);
      }
    }
  }
}

void Exchange::refresh_some(uint64_t now_ms) {
  if (refreshed_ms_ != 0 && now_ms - refreshed_ms_ < uint64_t{kRefreshS} * kMsPerS) return;
  refreshed_ms_ = 0;
  for (uint32_t i = 0; i < kRefreshedPerTurn; i++) {
    while (refresh_worker_ < workers_.size() && refresh_flow_ >= workers_[refresh_worker_].flows.used()) {
      refresh_worker_++;
      refresh_flow_ = 0;
    }
    if (refresh_worker_ == workers_.size()) {
      refresh_worker_ = 0;
      refreshed_ms_ = now_ms;
      return;
    }
    if (const auto flow = workers_[refresh_worker_].flows.established_at(refresh_flow_++))
      tell_own(refresh_worker_, *flow, now_ms);
  }
}

bool Exchange::is_away(uint32_t peer, uint64_t now_ms) const {
  return peer >= peers_.size() || now_ms - status_.peer[peer].last_heard_ms > kPeerAwayMs;
}

/// We have begun, or hear of a peer for the first time: what it knows is still to come.
void Exchange::await_words(uint64_t now_ms) {
  table_.expect_more_until(now_ms + uint64_t{kAwaitS} * kMsPerS);
}

void Exchange::expire_some(uint64_t now_ms) {
  const size_t count = (now_ms - swept_ms_) * table_.capacity() / kSweepMs;
  if (count == 0) return;
  swept_ms_ = now_ms;
  const auto is_over = [&](uint32_t peer, uint32_t age_s) {
    if (age_s > options_.established_s) return true;
    // What a peer that is away has told is what it is for. One that has come back may yet tell it again.
    if (age_s <= kForgetAfterS || is_away(peer, now_ms)) return false;
    return now_ms - peers_[peer].began_ms > uint64_t{kForgetAfterS} * kMsPerS;
  };
  add(status_.expired, table_.sweep(swept_, count, static_cast<uint32_t>(now_ms / kMsPerS), is_over));
  swept_ = swept_ + count >= table_.capacity() ? 0 : swept_ + count;
}

/// What a peer that has just begun knew itself, and what was told by nodes that are away: nobody else will say it.
void Exchange::pass_on_some(uint32_t index, uint64_t now_ms) {
  Peer& peer = peers_[index];
  if (!peer.link.is_open() || peer.began_ms == 0 || peer.passed_on >= table_.capacity()) return;
  table_.visit(peer.passed_on, kPassedOnPerTurn, [&](const ToldFlow& flow, uint32_t teller) {
    if (flow.stage != FlowStage::kOpen || (teller != index && !is_away(teller, now_ms))) return;
    ToldFlow hearsay = flow;
    hearsay.stage = FlowStage::kHearsay;
    if (tell(index, hearsay)) add(status_.flows_told);
  });
  peer.passed_on += kPassedOnPerTurn;
}

/// Replies of a fullnat flow that began at another node may come to another worker than the one that has it: that one
/// looks into the table.
void Exchange::tell_own(uint32_t worker, const ToldFlow& flow, uint64_t now_ms) {
  const auto workers = static_cast<uint32_t>(workers_.size());
  if (flow.stage == FlowStage::kEnded) {
    table_.erase(flow.client, flow.vip);  // whoever had it before
  } else if (flow.forwarding == channel::Forwarding::kFullnat && local_port_owner(flow.local.port, workers) != worker) {
    table_.put(flow, kHearsay, static_cast<uint32_t>(now_ms / kMsPerS), worker);
  }
  tell(flow);
}

void Exchange::tell(const ToldFlow& flow) {
  bool told = false;
  for (uint32_t i = 0; i < peers_.size(); i++) told |= tell(i, flow);
  if (told) add(flow.stage == FlowStage::kEnded ? status_.ends_told : status_.flows_told);
}

/// False if nothing that it is told is believed yet.
bool Exchange::tell(uint32_t index, const ToldFlow& flow) {
  Peer& peer = peers_[index];
  if (!peer.link.is_open()) return false;
  if (peer.used == 0) peer.used = peer.link.write_flows_header(peer.text.data());
  if (append_flow(peer.text, peer.used, flow)) return true;
  flush(index);
  peer.used = peer.link.write_flows_header(peer.text.data());
  return append_flow(peer.text, peer.used, flow);
}

void Exchange::flush(uint32_t index) {
  Peer& peer = peers_[index];
  if (peer.used == 0) return;
  send(index, {peer.text.data(), peer.used});
  peer.used = 0;
}

void Exchange::greet(uint32_t index, uint64_t echo, uint64_t now_ms) {
  std::array<uint8_t, kMostTextBytes> text;
  if (echo == 0) peers_[index].hello_ms = now_ms;
  send(index, {text.data(), peers_[index].link.write_hello(echo, options_.node, text.data())});
}

void Exchange::send(uint32_t peer, std::span<const uint8_t> text) {
  std::array<uint8_t, kMostDatagramBytes> datagram;
  const size_t bytes = seal_.seal(++number_, text, datagram.data());
  const SocketAddress to = socket_address(options_.to[peer]);
  const ssize_t sent = sendto(socket_.get(), datagram.data(), bytes, MSG_DONTWAIT,
                              reinterpret_cast<const sockaddr*>(&to.storage), to.bytes);
  if (bytes == 0 || sent != static_cast<ssize_t>(bytes)) return add(status_.peer[peer].send_errors);
  add(status_.datagrams_sent);
  add(status_.bytes_sent, bytes);
}

}  // namespace sluice
