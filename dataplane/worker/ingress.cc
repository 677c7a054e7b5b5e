// SPDX-License-Identifier: Apache-2.0
//
// The worker's first stages: frames from devices and from other workers are parsed, and enter the burst.
#include <rte_ethdev.h>
#include <rte_prefetch.h>

#include <algorithm>
#include <array>

#include "dataplane/packet/parse_fast.h"
#include "dataplane/worker/worker.h"

namespace sluice {
namespace {

constexpr uint32_t kPrefetchAhead = 4;
constexpr uint32_t kLookUpFrom = 24;  // so many packets in a burst, the flows of the first are looked up

/// Parses a frame with a tag as the fast path's parsers do; the packet's source or destination goes to `end`.
[[gnu::noinline]] bool parse_tagged(uint64_t mac_word, const rte_mbuf& mbuf, Packet& packet, bool is_source,
                                    Endpoint& end) noexcept {
  const FastFrames<kBehindTag> fast(mac_word);
  if (parse_fast(mbuf, fast, packet)) return end = end_of_fast<kBehindTag>(mbuf, is_source), true;
  if (!parse_fast_v6(mbuf, fast, packet)) return false;
  end = end_of_fast_v6<kBehindTag>(mbuf, is_source);
  return true;
}

/// What is behind a tag quickly, and else parse_any() for every address that is ours on the port.
[[gnu::noinline]] ParseVerdict parse_slow(const WorkerPort& port, uint64_t mac_word, const rte_mbuf& mbuf,
                                          Packet& packet) noexcept {
  Endpoint source;
  if (parse_tagged(mac_word, mbuf, packet, true, source)) return ParseVerdict::kTcp;
  ParseVerdict verdict = parse_any(mbuf, port.mac, packet);
  for (size_t i = 0; i < port.extra_macs.size() && verdict == ParseVerdict::kOtherHost; i++)
    verdict = parse_any(mbuf, port.extra_macs[i], packet);
  return verdict;
}

}  // namespace

bool Worker::receive(uint32_t port) noexcept {
  const WorkerPort& attached = setup_.port[port];
  if (attached.receive_queue == WorkerPort::kNoQueue) return false;
  const uint16_t received = rte_eth_rx_burst(attached.device, attached.receive_queue, burst_.mbuf.data() + burst_.count,
                                             static_cast<uint16_t>(setup_.burst));
  timer_.end_stage(Counter::kStageReceive);
  shedder_.took(port, received, setup_.burst);
  const bool steered = rss_check_.took(port, received, setup_.burst);
  if (received == 0) return false;
  counters_.count(Counter::kReceived, received);
  if (timer_.sampled()) counters_.count(Counter::kSampledPackets, received);
  parse(port, received, steered);
  timer_.end_stage(Counter::kStageParse);
  return true;
}

void Worker::parse(uint32_t port, uint32_t received, bool steered) noexcept {
  rte_mbuf** const mbufs = burst_.mbuf.data() + burst_.count;
  for (uint32_t i = 0; i < std::min(received, kPrefetchAhead); i++) rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void*));
  const bool alone = setup_.workers == 1;
  const Arrival how = arrival(port, alone, setup_.index, steered);
  // Which side a port faces is known beforehand, but for one-armed set-ups; whose a reply is, but for what may be to an
  // address of ours.
  if (how.faces == Faces::kClients && !shedder_.is_on()) {
    burst_.count = alone ? enter_all<true, true>(burst_.count, how, mbufs, received)
                         : enter_all<true, false>(burst_.count, how, mbufs, received);
  } else if (how.faces == Faces::kBackends && alone) {
    burst_.count = enter_all<false, true>(burst_.count, how, mbufs, received);
  } else if (how.faces == Faces::kBackends && !state_.has_locals()) {
    burst_.count = enter_all<false, false>(burst_.count, how, mbufs, received);
  } else {
    uint32_t kept = burst_.count;
    for (uint32_t i = 0; i < received; i++) {
      if (i + kPrefetchAhead < received) rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + kPrefetchAhead], void*));
      kept = enter(kept, how, mbufs[i]);
    }
    burst_.count = settle_syns(kept);
  }
}

template <bool kFromClient, bool kAlone>
uint32_t Worker::enter_all(uint32_t kept, Arrival how, rte_mbuf* const* mbufs, uint32_t received) noexcept {
  Burst& burst = burst_;
  const FastFrames fast(how.mac_word);
  const bool to_locals = !kFromClient && finder_.has_fullnat();
  const auto place_of = [&](const Endpoint& end) __attribute__((always_inline)) {
    return to_locals ? finder_.place_of_reply_to(end) : flows_.place(flows_.hash(end));
  };
  const uint32_t before = kept;
  uint32_t slow = 0;
  for (uint32_t i = 0; i < received; i++) {
    if (i + kPrefetchAhead < received) rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + kPrefetchAhead], void*));
    rte_mbuf* mbuf = mbufs[i];
    FlowPlace place;
    const auto is_handed_over = [&](const Endpoint& end) __attribute__((always_inline)) {
      if constexpr (!kAlone) {
        if (!ownership_.is_mine(end)) [[unlikely]]
          return hand_to_owner(how, mbuf, end), true;
      }
      place = place_of(end);
      return false;
    };
    Endpoint end;
    if (parse_fast(*mbuf, fast, burst.packet[kept])) [[likely]] {
      if (is_handed_over(end_of_fast(*mbuf, kFromClient))) continue;
    } else if (parse_fast_v6(*mbuf, fast, burst.packet[kept])) {
      if (is_handed_over(end_of_fast_v6(*mbuf, kFromClient))) continue;
    } else if (parse_tagged(how.mac_word, *mbuf, burst.packet[kept], kFromClient, end)) {
      if (is_handed_over(end)) continue;
    } else {
      const uint32_t place_before = kept;
      kept = enter_slow(kept, how, mbuf);
      slow += kept - place_before;
      continue;
    }
    flows_.prefetch_bucket(place);
    burst.mbuf[kept] = mbuf;
    burst.place[kept] = place;
    kept++;
    if ((kept & 1) != 0 && kept > kLookUpFrom && burst.looked_up < kLookAhead) look_up_flow(burst.looked_up++);
  }
  std::fill_n(burst.port.begin() + before, kept - before, static_cast<uint8_t>(how.port));
  std::fill_n(burst.from_client.begin() + before, kept - before, kFromClient);
  if (!kAlone && how.steered) rss_check_.right(how.port, kept - before - slow);
  return kept;
}

// Inline by force: what the loop around it keeps in registers is a tenth of a packet's way.
template <bool kMayShed>
[[gnu::always_inline]] inline uint32_t Worker::enter(uint32_t kept, Arrival how, rte_mbuf* mbuf) noexcept {
  Burst& burst = burst_;
  Packet& packet = burst.packet[kept];
  const FastFrames frames(how.mac_word);
  const bool fast = parse_fast(*mbuf, frames, packet);
  const bool fast_v6 = !fast && parse_fast_v6(*mbuf, frames, packet);
  const ParseVerdict verdict =
      fast || fast_v6 ? ParseVerdict::kTcp : parse_slow(setup_.port[how.port], how.mac_word, *mbuf, packet);
  if (verdict != ParseVerdict::kTcp) [[unlikely]] {
    if (!meet_exception(how, mbuf, packet, verdict)) return kept;
  }
  const auto end = [&](bool is_source) __attribute__((always_inline)) {
    if (fast) return end_of_fast(*mbuf, is_source);
    if (fast_v6) return end_of_fast_v6(*mbuf, is_source);
    return is_source ? packet.source : packet.destination;
  };
  const Endpoint source = end(true), destination = end(false);
  const bool from_client = how.faces == Faces::kClients ||
                           (how.faces == Faces::kBoth && state_.find_service(destination) != channel::kNoService);
  const uint64_t hash = flows_.hash(from_client ? source : destination);
  if (kMayShed && shedder_.is_on() && from_client && may_be_shed(packet, destination)) [[unlikely]]
    return shedder_.put(how, mbuf, hash, packet.sequence), kept;
  if (!how.mine) {
    const uint32_t owner = from_client ? ownership_.of_client(source) : ownership_.of_reply(destination);
    if (how.steered && RssCheck::is_evidence(packet, verdict)) [[unlikely]]
      hold_against(how, *mbuf, from_client ? source : destination, owner == setup_.index);
    if (owner != setup_.index) {
      handover_.hand_over(owner, how.port, mbuf, {kMayShed ? Handed::kProcess : Handed::kRepeated, 0});
      return kept;
    }
  }
  FlowPlace place = flows_.place(hash);
  if (finder_.has_fullnat() && !from_client) [[unlikely]]
    place = finder_.place_of_reply_to(destination);
  if (verdict == ParseVerdict::kFirstFragment) [[unlikely]] {
    fragment_relay_.meet_first(how.port, packet, place, from_client);
  }
  flows_.prefetch_bucket(place);
  burst.mbuf[kept] = mbuf;
  burst.port[kept] = static_cast<uint8_t>(how.port);
  burst.from_client[kept] = from_client;
  burst.place[kept] = place;
  return kept + 1;
}

[[gnu::noinline]] uint32_t Worker::enter_slow(uint32_t kept, Arrival how, rte_mbuf* mbuf) noexcept {
  return enter(kept, how, mbuf);
}

[[gnu::noinline]] void Worker::hand_to_owner(const Arrival& how, rte_mbuf* mbuf, const Endpoint& client) noexcept {
  if (how.steered) rss_check_.misplaced(how.port, *mbuf, client);
  handover_.hand_over(ownership_.of_client(client), how.port, mbuf, {Handed::kProcess, 0});
}

/// What a device has made of a segment that it was to put before its owner.
void Worker::hold_against(Arrival how, const rte_mbuf& mbuf, const Endpoint& client, bool is_mine) noexcept {
  if (how.faces == Faces::kBackends && ownership_.is_ours(client)) return;  // no device knows whose it is
  if (is_mine) {
    rss_check_.right(how.port, 1);
  } else {
    rss_check_.misplaced(how.port, mbuf, client);
  }
}

bool Worker::meet_exception(Arrival how, rte_mbuf* mbuf, const Packet& packet, ParseVerdict verdict) noexcept {
  switch (verdict) {
    case ParseVerdict::kTcp:
    case ParseVerdict::kFirstFragment:
      return true;
    case ParseVerdict::kIcmp:
      if (!how.mine && hand_over_quoted(how.port, mbuf, packet)) break;
      [[fallthrough]];
    case ParseVerdict::kFragment:
      exceptions_.put({packet, mbuf, static_cast<uint8_t>(how.port), verdict, static_cast<uint8_t>(how.asker)});
      break;
    case ParseVerdict::kOther:
    case ParseVerdict::kOtherHost:
    case ParseVerdict::kV4Mapped:
    case ParseVerdict::kDoubleTagged:
    case ParseVerdict::kTruncated:
    case ParseVerdict::kMalformed:
      punt_or_drop(how.port, mbuf, verdict);
      break;
  }
  return false;
}

/// Of a new connection to an address of ours, which is for the kernel, nothing is dropped here: it may be the
/// operator's.
bool Worker::may_be_shed(const Packet& packet, const Endpoint& destination) noexcept {
  return is_opening(packet) && state_.find_service(destination) != channel::kNoService && shedder_.doubts_next();
}

uint32_t Worker::settle_syns(uint32_t kept) noexcept {
  shedder_.settle([&](const Arrival& how, rte_mbuf* mbuf) { drop_at_once(how.port, mbuf, Counter::kDropSynShed); },
                  [&](const Arrival& how, rte_mbuf* mbuf) { kept = enter<false>(kept, how, mbuf); });
  return kept;
}

/// A SYN that has come again, as another worker found that is behind too: the client is not made to repeat it for each.
[[gnu::noinline]] uint32_t Worker::enter_repeated(uint32_t kept, rte_mbuf* mbuf) noexcept {
  if (!shedder_.drops_next_repeated()) return enter<false>(kept, arrival(mbuf->port, true, setup_.index), mbuf);
  drop_at_once(mbuf->port, mbuf, Counter::kDropSynShed);
  return kept;
}

/// Hands an ICMP error to the owner of the flow that it is about. False if it is none, or is ours.
bool Worker::hand_over_quoted(uint32_t port, rte_mbuf* mbuf, const Packet& packet) noexcept {
  IcmpError error;
  if (!read_icmp_error(*mbuf, packet, error)) return false;
  const uint32_t owner = ownership_.of_quoted(error);
  if (owner == setup_.index) return false;
  handover_.hand_over(owner, port, mbuf, {Handed::kProcess, 0});
  return true;
}

bool Worker::take_up_held() noexcept {
  const auto enter_one = [this](uint32_t port, rte_mbuf* mbuf) {
    burst_.count = settle_syns(enter(burst_.count, arrival(port, true, setup_.index), mbuf));
  };
  return held_.take_up(enter_one, [this] { process(); });
}

bool Worker::take_passed() noexcept {
  return passing_.take([this](uint32_t port, rte_mbuf* mbuf) {
    burst_.count = settle_syns(enter(burst_.count, arrival(port, true, setup_.index), mbuf));
  });
}

bool Worker::receive_handed() noexcept {
  bool any = false;
  for (uint32_t worker = 0; worker < setup_.workers; worker++) {
    std::array<void*, kMaxBurst> mbufs;
    const uint32_t n = handover_.take(worker, mbufs);
    shedder_.took(SynShedder::of_worker(worker), n, kMaxBurst);
    if (n == 0) continue;
    any = true;
    for (uint32_t i = 0; i < n; i++) rte_prefetch0(mbufs[i]);
    uint32_t made = 0;
    uint32_t kept = burst_.count;
    for (uint32_t i = 0; i < n; i++) {
      auto* mbuf = static_cast<rte_mbuf*>(mbufs[i]);
      if (i + 2 < n) rte_prefetch0(rte_pktmbuf_mtod(static_cast<rte_mbuf*>(mbufs[i + 2]), void*));
      const HandoverNote note = note_of(*mbuf);
      if (note.what == Handed::kSend) {
        egress_.send(mbuf->port, mbuf);
      } else if (note.what == Handed::kSendMade) {
        made++;
        egress_.send_made(mbuf->port, mbuf);
      } else if (note.what == Handed::kRepeated) {
        kept = enter_repeated(kept, mbuf);
      } else {
        kept = enter(kept, arrival(mbuf->port, true, note.what == Handed::kAsk ? note.asker : setup_.index), mbuf);
      }
    }
    burst_.count = settle_syns(kept);
    counters_.count(Counter::kHandedIn, n - made);
    timer_.end_stage(Counter::kStageParse);
    if (is_burst_full()) process();
  }
  return any;
}

}  // namespace sluice
