// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/responder.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace sluice {
namespace {

/// The way back, as a flow keeps it.
void learn_return_path(RefusalDialogue& dialogue, const Burst& burst, uint32_t i) {
  std::memcpy(dialogue.client_mac.bytes.data(), rte_pktmbuf_mtod(burst.mbuf[i], const uint8_t*) + 6, 6);
  dialogue.vlan_and_port = static_cast<uint16_t>(burst.packet[i].vlan | burst.port[i] << 12);
}

/// What our number brings back: who is to be told, when. Nothing is kept of what the SYN announced.
constexpr CookieOptions kTellAtOnce{.sack = false}, kTellAfterTarpit{.sack = true};

uint16_t window_of(const rte_mbuf& mbuf, const Packet& packet) {
  return load<Be16>(rte_pktmbuf_mtod(&mbuf, const uint8_t*) + packet.l4_offset + tcp::kWindow).host();
}

}  // namespace

Responder::Responder(const Context& context, AnsweredSyns& answered) noexcept
    : clock_(context.clock),
      counters_(context.counters),
      state_(context.state),
      egress_(context.egress),
      answered_(answered),
      cookies_(context.setup.hash_seed, CookiePurpose::kRefusal),
      table_(context.setup.hash_seed),
      segments_(kSegmentsPerSecond, kSegmentsPerSecond, context.clock.now_ms()),
      swept_ms_(context.clock.now_ms()) {}

bool Responder::may_send() noexcept {
  if (segments_.take(clock_.now_ms())) return true;
  counters_.count(Counter::kAnswersHeldBack);
  return false;
}

void Responder::answer_syn(Burst& burst, uint32_t i, Counter reason, Told when) noexcept {
  const Packet& packet = burst.packet[i];
  if (!may_send()) return egress_.drop(burst.mbuf[i], reason);
  MadeSegment out = reset_answering(*burst.mbuf[i], packet);
  out.flags = kTcpSyn | kTcpAck;
  const CookieOptions told = when == Told::kAtOnce ? kTellAtOnce : kTellAfterTarpit;
  out.sequence = cookies_.make(packet.source, packet.destination, packet.sequence, told, clock_.now_ms()).sequence;
  out.ack = packet.sequence + 1;  // not of what it may carry: that comes again
  out.window = Be16::of(RefusalDialogue::kWindow);
  constexpr uint8_t kMss = 2, kMssBytes = 4;
  const uint32_t headers = tcp::kBytes + (packet.v6 ? ipv6::kBytes : ipv4::kBytes);
  const auto mss = static_cast<uint16_t>(egress_.mtu(burst.port[i]) - headers);
  const std::array<uint8_t, kMssBytes> option{kMss, kMssBytes, static_cast<uint8_t>(mss >> 8),
                                              static_cast<uint8_t>(mss)};
  out.options = option;
  answering_until_ms_ = clock_.now_ms() + 2 * HandshakeCookies::kPeriodMs;
  write_segment(*burst.mbuf[i], out);
  answered_.keep(burst.port[i], *burst.mbuf[i], packet, out.sequence);
  counters_.count(Counter::kAnswered);
  counters_.count(Counter::kSynAcksSent);
  egress_.send_made(burst.port[i], burst.mbuf[i]);
}

bool Responder::meet(Burst& burst, uint32_t i, channel::ServiceId service) noexcept {
  const Packet& packet = burst.packet[i];
  RefusalDialogue* const known = table_.find(packet.source, packet.destination);
  RefusalDialogue* dialogue = known;
  if (known == nullptr || !known->believes(packet)) dialogue = begin(packet, service);
  if (dialogue == nullptr && known == nullptr) return false;
  if (dialogue == nullptr) {  // forged, or of a connection that is over: nothing to adopt
    counters_.count(Counter::kSegmentsNotBelieved);
    return egress_.drop(burst.mbuf[i], Counter::kDropNoFlow), true;
  }
  counters_.count(Counter::kAnswered);
  if ((packet.tcp_flags & kTcpRst) != 0) {
    table_.free(*dialogue);
    rte_pktmbuf_free(burst.mbuf[i]);
  } else {
    hear(*dialogue, burst, i);
  }
  return true;
}

/// A dialogue, if the segment acknowledges a SYN-ACK of ours.
RefusalDialogue* Responder::begin(const Packet& packet, channel::ServiceId service) noexcept {
  if ((packet.tcp_flags & (kTcpAck | kTcpSyn | kTcpRst)) != kTcpAck) return nullptr;
  const auto told = cookies_.read(packet.ack - 1, std::nullopt, packet.source, packet.destination, packet.sequence - 1,
                                  clock_.now_ms());
  if (!told) return nullptr;
  const bool tarpit = told->byte() == kTellAfterTarpit.byte();
  answered_.heard(packet.ack - 1);
  forget(packet);
  RefusalDialogue& out = table_.take(packet.source);
  out.client = packet.source;
  out.service = packet.destination;
  out.service_id = service;
  out.sequence = packet.ack;
  out.client_next = packet.sequence;
  out.text_bytes = static_cast<uint8_t>(state_.refusal(service).size());
  out.held = tarpit;
  out.due_ms = clock_.now32_ms() + (tarpit ? kTarpitMs : kFirstRetryMs);
  return &out;
}

void Responder::tell(const Flow& flow, uint32_t sequence, const std::optional<TcpTimestamps>& heard) noexcept {
  if (RefusalDialogue* const known = table_.find(flow.client_endpoint(), state_.service(flow.service).vip))
    table_.free(*known);
  RefusalDialogue& out = table_.take(flow.client_endpoint());
  out.client = flow.client_endpoint();
  out.service = state_.service(flow.service).vip;
  out.service_id = flow.service;
  out.sequence = sequence;
  out.client_next = flow.client_next;
  out.client_mac = flow.client_mac;
  out.vlan_and_port = flow.vlan_and_port;
  out.due_ms = clock_.now32_ms();
  out.stamped = heard.has_value();
  if (heard) {
    // What it has last seen of the server is not old to it (RFC 7323 section 5.3).
    out.timestamp = heard->echo;
    out.timestamp_echo = heard->value;
  }
  out.text_bytes = static_cast<uint8_t>(state_.refusal(flow.service).size());
  visit(out);
}

void Responder::hear(RefusalDialogue& dialogue, Burst& burst, uint32_t i) noexcept {
  rte_mbuf* mbuf = burst.mbuf[i];
  learn_return_path(dialogue, burst, i);
  const bool had_it = dialogue.acknowledged;
  const bool room = dialogue.has_room(window_of(*mbuf, burst.packet[i]));
  const bool wants_answer = dialogue.hear(burst.packet[i]);
  if (dialogue.acknowledged) {
    if (!had_it) counters_.count(Counter::kRefusalsAcknowledged);
    dialogue.due_ms = clock_.now32_ms() + kLingerMs;
  }
  if (dialogue.client_closed) dialogue.held = false;  // it has had enough
  const bool reply = dialogue.sent == 0 && room && !dialogue.held;
  if ((!reply && !wants_answer) || !may_send()) return rte_pktmbuf_free(mbuf);
  if (reply) {
    write_reply(dialogue, *mbuf);
  } else {
    write(*mbuf, dialogue, segment(dialogue));
  }
  egress_.send_made(burst.port[i], mbuf);
}

MadeSegment Responder::segment(const RefusalDialogue& dialogue) const noexcept {
  MadeSegment out;
  out.source = dialogue.service;
  out.destination = dialogue.client;
  out.source_mac = egress_.mac(dialogue.vlan_and_port >> 12);
  out.destination_mac = dialogue.client_mac;
  out.vlan = dialogue.vlan_and_port & 0x0fff;
  out.flags = kTcpAck;
  out.sequence = dialogue.next();
  out.ack = dialogue.client_next;
  out.window = Be16::of(RefusalDialogue::kWindow);
  return out;
}

void Responder::write(rte_mbuf& mbuf, const RefusalDialogue& dialogue, MadeSegment segment) noexcept {
  const auto stamps = timestamps_option(dialogue.timestamp, dialogue.timestamp_echo);
  if (dialogue.stamped) segment.options = stamps;
  write_segment(mbuf, segment);
}

/// Where the client has no room, it is a probe of its window.
void Responder::write_reply(RefusalDialogue& dialogue, rte_mbuf& mbuf) noexcept {
  MadeSegment out = segment(dialogue);
  out.flags = kTcpFin | kTcpPsh | kTcpAck;
  out.sequence = dialogue.sequence;
  out.payload = state_.refusal(dialogue.service_id);
  dialogue.held = false;
  write(mbuf, dialogue, out);
  counters_.count(dialogue.sent == 0 ? Counter::kRefusalsSent : Counter::kRefusalsResent);
  dialogue.due_ms = clock_.now32_ms() + (kFirstRetryMs << dialogue.sent);
  dialogue.sent++;
}

bool Responder::sweep() noexcept {
  const uint64_t elapsed_ms = clock_.now_ms() - swept_ms_;
  swept_ms_ = clock_.now_ms();
  if (table_.count() == 0 || elapsed_ms == 0) return false;
  const uint64_t visits = std::min(elapsed_ms, kRoundMs) * RefusalTable::kDialogues / kRoundMs;
  for (uint64_t n = 0; n < visits; n++) {
    RefusalDialogue& dialogue = table_.at(hand_);
    hand_ = (hand_ + 1) % RefusalTable::kDialogues;
    if (dialogue.in_use && is_due(dialogue.due_ms, clock_.now32_ms())) visit(dialogue);
  }
  return true;
}

void Responder::visit(RefusalDialogue& dialogue) noexcept {
  // A text that was changed meanwhile would not be what the client has the beginning of.
  const bool other_text = state_.refusal(dialogue.service_id).size() != dialogue.text_bytes;
  if (dialogue.acknowledged || dialogue.sent == kTries || other_text) return table_.free(dialogue);
  if (!may_send()) return;
  rte_mbuf* mbuf = egress_.take_buffer();
  if (mbuf == nullptr) return;
  write_reply(dialogue, *mbuf);
  egress_.send_made(dialogue.vlan_and_port >> 12, mbuf);
}

}  // namespace sluice
