// SPDX-License-Identifier: Apache-2.0
#include "perf/blast/generator.h"

#include <rte_cycles.h>

#include <algorithm>
#include <cstdio>

namespace sluice::blast {
namespace {

constexpr double kDrainSeconds = 2;
constexpr uint32_t kStartsPerTurn = 32;

BackendFigures difference(const BackendFigures& after, const BackendFigures& before) {
  return {after.received - before.received, after.sent - before.sent, after.others - before.others,
          after.wrong_checksum - before.wrong_checksum};
}

}  // namespace

bool Trial::is_clean() const {
  return lost_up == 0 && lost_down == 0 && client.timed_out == 0 && client.reset == 0 && client.refused == 0 &&
         client.resent == 0 && client.wrong_checksum == 0 && backend.wrong_checksum == 0 && unfinished == 0;
}

bool Trial::is_full() const {
  return rate == 0 || static_cast<double>(client.started) >= 0.99 * rate * seconds;
}

Generator::Generator(Link& front, Link* back, const Options& options, const volatile std::sig_atomic_t& stop)
    : front_(front),
      back_(back),
      options_(options),
      stop_(stop),
      tsc_hz_(rte_get_tsc_hz()),
      space_(options.first_client, options.clients),
      front_neighbours_(front) {
  if (back != nullptr) {
    back_neighbours_ = std::make_unique<Neighbours>(*back);
    backends_ = std::make_unique<Backends>(*back, space_, options.verify);
  }
}

std::string Generator::prepare() {
  const uint64_t deadline = rte_rdtsc() + static_cast<uint64_t>(options_.wait_s * static_cast<double>(tsc_hz_));
  uint64_t asked = 0;
  while (!front_neighbours_.mac()) {
    const uint64_t now = rte_rdtsc();
    if (now > deadline || stop_ != 0) return "nobody answers for the VIP's address on the front device";
    if (now - asked > tsc_hz_ / 4) {
      asked = now;
      front_neighbours_.ask(options_.vip.address);
    }
    turn(now);
  }
  gateway_ = *front_neighbours_.mac();
  ClientOptions client{options_.vip, gateway_, options_.body_bytes, options_.sessions_max, tsc_hz_, options_.verify};
  clients_ = std::make_unique<Clients>(front_, space_, client);
  for (uint64_t began = 0; clients_->figures().completed == 0;) {
    const uint64_t now = rte_rdtsc();
    if (now > deadline || stop_ != 0) return "no session comes through; is the balancer up, its backends in service?";
    if (now - began > tsc_hz_ / 4 && clients_->start(now)) began = now;
    turn(now);
  }
  turn_until_idle(kDrainSeconds);
  return "";
}

void Generator::turn(uint64_t now) {
  receive_front(now);
  if (back_ != nullptr) receive_back();
  if (clients_) clients_->sweep(now);
  front_.flush();
  if (back_ != nullptr) back_->flush();
}

void Generator::receive_front(uint64_t now) {
  const std::span<rte_mbuf*> received = front_.receive();
  for (rte_mbuf* mbuf : received) {
    Packet packet;
    if (parse_any(*mbuf, front_.mac(), packet) == ParseVerdict::kTcp) {
      if (clients_) clients_->on_segment(*mbuf, packet, now);
    } else {
      front_neighbours_.on_frame(*mbuf);
    }
  }
  if (!received.empty()) rte_pktmbuf_free_bulk(received.data(), static_cast<unsigned>(received.size()));
}

void Generator::receive_back() {
  const std::span<rte_mbuf*> received = back_->receive();
  for (rte_mbuf* mbuf : received) {
    Packet packet;
    if (parse_any(*mbuf, back_->mac(), packet) == ParseVerdict::kTcp) {
      backends_->on_segment(*mbuf, packet);
    } else {
      back_neighbours_->on_frame(*mbuf);
    }
  }
  if (!received.empty()) rte_pktmbuf_free_bulk(received.data(), static_cast<unsigned>(received.size()));
}

void Generator::turn_until_idle(double seconds) {
  const uint64_t deadline = rte_rdtsc() + static_cast<uint64_t>(seconds * static_cast<double>(tsc_hz_));
  // What is on the way when the last session ends (its last ACK) has time to arrive.
  uint64_t idle_since = 0;
  for (uint64_t now = rte_rdtsc(); now < deadline; now = rte_rdtsc()) {
    turn(now);
    if (clients_->active() > clients_->held()) {
      idle_since = 0;
    } else if (idle_since == 0) {
      idle_since = now;
    } else if (now - idle_since > tsc_hz_ / 20) {
      return;
    }
  }
}

uint32_t Generator::hold() {
  if (options_.held == 0) return 0;
  uint32_t begun = 0;
  while (begun < options_.held && stop_ == 0) {
    const uint64_t now = rte_rdtsc();
    for (uint32_t i = 0; i < kStartsPerTurn && begun < options_.held && !front_.is_congested(); i++) {
      // No more handshakes at once than a box with a small backlog can take.
      if (clients_->active() - clients_->held() >= 512 || !clients_->start(now, true)) break;
      begun++;
    }
    turn(now);
    show_progress(now, 0);
  }
  turn_until_idle(4 * kDrainSeconds);
  return clients_->held();
}

Trial Generator::trial(double rate) {
  Trial out;
  out.rate = rate;
  clients_->reset_figures();
  shown_completed_ = 0;
  const BackendFigures backend_before = backends_ ? backends_->figures() : BackendFigures{};
  const uint64_t unsent_before = front_.unsent() + (back_ != nullptr ? back_->unsent() : 0);
  std::unique_ptr<Flood> flood;
  if (options_.mode == Mode::kSynFlood) {
    flood = std::make_unique<Flood>(front_, gateway_, options_.vip, options_.flood_rate, tsc_hz_);
  }
  const uint64_t began = rte_rdtsc();
  const uint64_t end = began + static_cast<uint64_t>(options_.duration_s * static_cast<double>(tsc_hz_));
  const double per_cycle = rate / static_cast<double>(tsc_hz_);
  uint64_t now = began;
  for (; now < end && stop_ == 0; now = rte_rdtsc()) {
    const auto due = rate == 0 ? UINT64_MAX : static_cast<uint64_t>(static_cast<double>(now - began) * per_cycle);
    for (uint32_t i = 0; i < kStartsPerTurn && clients_->figures().started < due && !front_.is_congested(); i++) {
      if (!clients_->start(now)) break;
    }
    if (flood) flood->go_on(now);
    turn(now);
    show_progress(now, rate);
  }
  out.seconds = static_cast<double>(now - began) / static_cast<double>(tsc_hz_);
  turn_until_idle(kDrainSeconds);
  out.client = clients_->figures();
  out.unfinished = clients_->abandon();
  out.unsent = front_.unsent() + (back_ != nullptr ? back_->unsent() : 0) - unsent_before;
  if (flood) out.flood_syns = flood->sent();
  if (backends_) {
    out.backend = difference(backends_->figures(), backend_before);
    out.lost_up = static_cast<int64_t>(out.client.sent) - static_cast<int64_t>(out.backend.received);
    out.lost_down = static_cast<int64_t>(out.backend.sent) - static_cast<int64_t>(out.client.received);
  }
  return out;
}

ClientFigures Generator::release() {
  clients_->reset_figures();
  bool left = true;
  while (left && stop_ == 0) {
    const uint64_t now = rte_rdtsc();
    left = clients_->release(now, kStartsPerTurn);
    turn(now);
  }
  turn_until_idle(4 * kDrainSeconds);
  return clients_->figures();
}

void Generator::show_progress(uint64_t now, double rate) {
  if (now - shown_at_ < tsc_hz_) return;
  const ClientFigures& figures = clients_->figures();
  if (shown_at_ != 0) {
    const double seconds = static_cast<double>(now - shown_at_) / static_cast<double>(tsc_hz_);
    fprintf(stderr, "  wanted %.0f/s, completed %.0f/s, under way %u, held %u, sent again %lu, failed %lu\n", rate,
            static_cast<double>(figures.completed - std::min(figures.completed, shown_completed_)) / seconds,
            clients_->active() - clients_->held(), clients_->held(), figures.resent,
            figures.timed_out + figures.reset + figures.refused);
  }
  shown_at_ = now;
  shown_completed_ = figures.completed;
}

}  // namespace sluice::blast
