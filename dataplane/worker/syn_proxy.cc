// SPDX-License-Identifier: Apache-2.0
#include "dataplane/worker/syn_proxy.h"

#include <algorithm>

#include "dataplane/packet/syn_ack.h"
#include "dataplane/worker/own_segments.h"

namespace sluice {
namespace {

const uint8_t* tcp_header(const rte_mbuf& mbuf, const Packet& packet) {
  return rte_pktmbuf_mtod(&mbuf, const uint8_t*) + packet.l4_offset;
}

uint16_t least_window(uint32_t bytes) {
  return static_cast<uint16_t>(std::min(bytes, uint32_t{0xffff}));
}

/// The options of a SYN or SYN-ACK, in the order that Linux has, in `out` (room for SynAck::kMostOptions). Returns
/// their bytes. SACK permitted stands before the timestamps where both are.
uint32_t write_options(uint8_t* out, uint16_t mss, bool sack, const TcpTimestamps* timestamps,
                       std::optional<uint8_t> window_scale) {
  constexpr uint8_t kNop = tcp_option::kNoOperation;
  uint8_t* next = out;
  const auto put = [&next](uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
    store(next, uint32_t{a} | uint32_t{b} << 8 | uint32_t{c} << 16 | uint32_t{d} << 24);
    next += 4;
  };
  put(tcp_option::kMss, tcp_option::kMssBytes, static_cast<uint8_t>(mss >> 8), static_cast<uint8_t>(mss));
  const uint8_t kind = sack ? tcp_option::kSackPermitted : kNop;
  const uint8_t bytes = sack ? tcp_option::kSackPermittedBytes : kNop;
  if (timestamps != nullptr) {
    put(kind, bytes, tcp_option::kTimestamps, tcp_option::kTimestampsBytes);
    store(next, timestamps->value);
    store(next + 4, timestamps->echo);
    next += 8;
  } else if (sack) {
    put(kNop, kNop, kind, bytes);
  }
  if (window_scale) put(kNop, tcp_option::kWindowScale, tcp_option::kWindowScaleBytes, *window_scale);
  return static_cast<uint32_t>(next - out);
}

}  // namespace

SynProxy::SynProxy(const Context& context, AnsweredSyns& answered) noexcept
    : clock_(context.clock),
      counters_(context.counters),
      flows_(context.flows),
      state_(context.state),
      egress_(context.egress),
      answered_(answered),
      handshake_ms_(context.setup.timers.handshake_ms),
      cookies_(context.setup.hash_seed, CookiePurpose::kBackend),
      pressure_(context) {}

void SynProxy::set_room(uint32_t handshakes) noexcept {
  pressure_.set_room(handshakes, handshake_ms_);
  room_for_proven_ = handshakes / SynPressure::kBeginsAt;
}

uint16_t SynProxy::most_mss(uint32_t port, bool v6) const noexcept {
  return static_cast<uint16_t>(egress_.mtu(port) - tcp::kBytes - (v6 ? ipv6::kBytes : ipv4::kBytes));
}

void SynProxy::answer_syn(Burst& burst, uint32_t i, channel::ServiceId service) noexcept {
  const Packet& packet = burst.packet[i];
  rte_mbuf& mbuf = *burst.mbuf[i];
  const Announced announced = announced_by(tcp_header(mbuf, packet), packet.tcp_header_bytes);
  const CookieOptions kept{CookieOptions::class_of(announced.mss),
                           announced.window_scale.value_or(CookieOptions::kNoScale), announced.sack};
  const HandshakeCookie cookie =
      cookies_.make(packet.source, packet.destination, packet.sequence, kept, clock_.now_ms());
  const Promise& promise = promise_[service];
  const uint16_t clamp = state_.service(service).mss;
  uint16_t mss = std::min(most_mss(burst.port[i], packet.v6), promise.mss);
  if (clamp != 0) mss = std::min(mss, clamp);

  TcpTimestamps timestamps{};
  const bool timed = announced.timestamps && clock_.now_ms() >= promise.timestamps_from_ms;
  if (timed) timestamps = {Be32::of(cookie.timestamp).raw, announced.timestamps->value};
  SynAck answer{.sequence = cookie.sequence, .window = {}, .options = {}, .options_bytes = 0};
  answer.options_bytes = write_options(answer.options.data(), mss, announced.sack, timed ? &timestamps : nullptr,
                                       announced.window_scale ? std::optional(Splice::kOurScale) : std::nullopt);
  turn_into_syn_ack(mbuf, packet, answer);
  answered_.keep(burst.port[i], mbuf, packet, cookie.sequence);
  answering_until_ms_ = clock_.now_ms() + 2 * HandshakeCookies::kPeriodMs;
  counters_.count(Counter::kAnswered);
  counters_.count(Counter::kSynCookiesSent);
  egress_.send_made(burst.port[i], burst.mbuf[i]);
}

std::optional<ProvenClient> SynProxy::read_cookie(const rte_mbuf& mbuf, const Packet& packet) noexcept {
  if ((packet.tcp_flags & (kTcpAck | kTcpSyn | kTcpRst)) != kTcpAck) return std::nullopt;
  const uint8_t* header = tcp_header(mbuf, packet);
  const std::optional<TcpTimestamps> timestamps = find_timestamps(header, packet.tcp_header_bytes);
  std::optional<uint32_t> echo;
  if (timestamps) echo = Be32{timestamps->echo}.host();
  const auto kept =
      cookies_.read(packet.ack - 1, echo, packet.source, packet.destination, packet.sequence - 1, clock_.now_ms());
  if (!kept) return std::nullopt;
  answered_.heard(packet.ack - 1);
  Splice splice{};
  splice.sequence = packet.ack - 1;
  splice.timestamp = echo.value_or(0);
  splice.client_timestamp = timestamps ? timestamps->value : 0;
  splice.pending = Splice::kNotPending;
  splice.client_scale = kept->window_scale & 0x0f;
  splice.server_scale = Splice::kNoScale;
  splice.mss_class = kept->mss_class & 0x07;
  splice.sack = kept->sack ? 1 : 0;
  splice.timestamps = timestamps ? 1 : 0;
  const uint32_t window = load<Be16>(header + tcp::kWindow).host();
  return ProvenClient{splice, least_window(splice.is_scaled() ? window << splice.client_scale : window)};
}

bool SynProxy::ask(FlowIndex index, const ProvenClient& client) noexcept {
  const uint32_t entry = asked_.add(index, clock_.now32_ms());
  if (entry == AskedBackends::kNone) return false;
  asked_[entry].window = client.window;
  Flow& flow = flows_[index];
  flow.spliced = true;
  flow.flags |= kFlowSpecial;
  flow.server_next = client.splice.sequence + 1;
  const auto scale = static_cast<uint8_t>(client.splice.client_scale);
  flow.set_window_scale(client.splice.is_scaled() ? std::max(scale, Splice::kOurScale) : uint8_t{0});
  flows_.splice(index) = client.splice;
  flows_.splice(index).pending = entry & Splice::kNotPending;
  send_syn(index);
  return true;
}

ProvenClient SynProxy::waiting(FlowIndex index) noexcept {
  const Splice& splice = flows_.splice(index);
  const bool known = asked_.is_of(splice.pending, index);
  return {splice, known ? asked_[splice.pending].window : kWindowUnknown};
}

void SynProxy::take_up() noexcept {
  if (flows_.adopted() == 0) return;
  for (FlowIndex index = 0; index < flows_.used(); index++) {
    const Flow& flow = flows_[index];
    if (flow.state != TcpState::kSynSent || !flow.spliced) continue;
    const uint32_t entry = asked_.add(index, clock_.now32_ms());
    flows_.splice(index).pending = entry & Splice::kNotPending;
    if (entry != AskedBackends::kNone) asked_[entry].window = kWindowUnknown;
  }
}

void SynProxy::send_syn(FlowIndex index) noexcept {
  const Flow& flow = flows_[index];
  const Splice& splice = flows_.splice(index);
  const Backend& backend = state_.backend(flow.backend);
  if (!state_.is_current(flow) || (backend.flags & channel::kBackendReachable) == 0) return;
  rte_mbuf* mbuf = egress_.take_buffer();
  if (mbuf == nullptr) return;
  const uint16_t most = most_mss(port_to_client(flow), !flow.client.is_v4());
  const uint16_t clamp = state_.service(flow.service).mss;
  const uint16_t mss = std::min({CookieOptions::kMss[splice.mss_class], most, clamp == 0 ? most : clamp});
  const TcpTimestamps timestamps{splice.client_timestamp, 0};
  std::array<uint8_t, SynAck::kMostOptions> options;
  const uint32_t options_bytes =
      write_options(options.data(), mss, splice.sack != 0, splice.timestamps != 0 ? &timestamps : nullptr,
                    splice.is_scaled() ? std::optional(static_cast<uint8_t>(splice.client_scale)) : std::nullopt);
  MadeSegment out = segment_to_backend(state_, egress_, flow);
  out.flags = kTcpSyn;
  out.sequence = flow.client_next - 1;
  out.ack = 0;
  out.window = Be16::of(waiting(index).window);
  out.options = {options.data(), options_bytes};
  write_segment(*mbuf, out);
  egress_.send_made(backend.port_index, mbuf);
}

uint16_t SynProxy::splice(FlowIndex index, const rte_mbuf& mbuf, Packet& packet) noexcept {
  const uint16_t window = waiting(index).window;
  Splice& splice = flows_.splice(index);
  if (asked_.is_of(splice.pending, index)) asked_.remove(splice.pending);
  splice.pending = Splice::kNotPending;
  const Announced announced = announced_by(tcp_header(mbuf, packet), packet.tcp_header_bytes);
  splice.sequence -= packet.sequence;
  splice.server_scale = announced.window_scale.value_or(Splice::kNoScale) & 0x0f;
  if (splice.timestamps != 0 && announced.timestamps) {
    splice.timestamp -= Be32{announced.timestamps->value}.host();
  } else if (splice.timestamps != 0) {
    // The client was promised what the server has not. Most clients take segments without (RFC 7323 section 3.2 leaves
    // it open); the next are not promised any.
    splice.timestamp = 0;
    promise_[flows_[index].service].timestamps_from_ms = clock_.now_ms() + kNoTimestampsMs;
  }
  packet.sequence += splice.sequence;
  return window;
}

Packet SynProxy::acknowledging(const Flow& flow, const Packet& syn_ack) const noexcept {
  Packet out = syn_ack;
  out.source = flow.client_endpoint();
  out.destination = state_.service(flow.service).vip;
  out.sequence = syn_ack.ack;
  out.ack = syn_ack.sequence + 1;
  out.tcp_flags = kTcpAck;
  out.payload_bytes = 0;
  return out;
}

/// A backend that scales windows takes the client's for scaled.
Be16 SynProxy::window_for_backend(const Splice& splice, uint16_t window) noexcept {
  const bool scaled = splice.is_server_scaled() && splice.is_scaled();
  return Be16::of(static_cast<uint16_t>(scaled ? window >> splice.client_scale : window));
}

ProxyInjector::ClientAck SynProxy::client_ack(FlowIndex index, const rte_mbuf& mbuf, const Packet& syn_ack,
                                              uint16_t window) const noexcept {
  const Splice& splice = flows_.splice(index);
  ProxyInjector::ClientAck out{.sequence = syn_ack.ack,
                               .ack = syn_ack.sequence + 1,
                               .payload_bytes = 0,
                               .window = window_for_backend(splice, window),
                               .timestamps = {}};
  if (const auto server = find_timestamps(tcp_header(mbuf, syn_ack), syn_ack.tcp_header_bytes)) {
    const uint32_t seen = Be32{server->value}.host() + splice.timestamp;  // by the client
    out.timestamps = {splice.client_timestamp, Be32::of(seen).raw};
  }
  return out;
}

void SynProxy::acknowledge(FlowIndex index, const ProxyInjector::ClientAck& ack) noexcept {
  const Flow& flow = flows_[index];
  const Renumbering shift = flows_.splice(index).to_backend();
  rte_mbuf* mbuf = egress_.take_buffer();
  if (mbuf == nullptr) return;
  MadeSegment out = segment_to_backend(state_, egress_, flow);
  out.flags = kTcpAck;
  out.sequence = ack.sequence;
  out.ack = ack.ack + shift.acknowledgement;
  out.window = ack.window;
  std::array<uint8_t, 12> option{};
  if (ack.timestamps) {
    const uint32_t echo = Be32{ack.timestamps->echo}.host() + shift.echo;
    option = timestamps_option(ack.timestamps->value, Be32::of(echo).raw);
    out.options = option;
  }
  write_segment(*mbuf, out);
  egress_.send_made(state_.backend(flow.backend).port_index, mbuf);
}

void SynProxy::open_window(FlowIndex index, rte_mbuf& mbuf, const Packet& packet) noexcept {
  const Flow& flow = flows_[index];
  const Splice& splice = flows_.splice(index);
  const uint8_t* header = tcp_header(mbuf, packet);
  const uint16_t window = load<Be16>(header + tcp::kWindow).host();
  const auto timestamps = find_timestamps(header, packet.tcp_header_bytes);
  MadeSegment out = segment_to_client(state_, egress_, flow);
  out.flags = kTcpAck;
  out.sequence = packet.sequence + 1;
  out.ack = flow.client_next;
  // The window of a SYN-ACK is not scaled.
  out.window = Be16::of(static_cast<uint16_t>(splice.is_scaled() ? window >> Splice::kOurScale : window));
  std::array<uint8_t, 12> option{};
  if (timestamps) {
    option = timestamps_option(Be32::of(Be32{timestamps->value}.host() + splice.timestamp).raw, timestamps->echo);
    out.options = option;
  }
  write_segment(mbuf, out);
}

void SynProxy::learn(channel::ServiceId service, const rte_mbuf& mbuf, const Packet& syn_ack) noexcept {
  if (state_.service(service).syn_proxy == channel::SynProxy::kOff) return;
  const Announced announced = announced_by(tcp_header(mbuf, syn_ack), syn_ack.tcp_header_bytes);
  Promise& promise = promise_[service];
  promise.mss = std::min(promise.mss, std::max(announced.mss, Announced::kDefaultMss));
}

FlowIndex SynProxy::ask_again() noexcept {
  while (resends_left_ != 0) {
    resends_left_--;
    const uint32_t entry = asked_.overdue(clock_.now32_ms());
    if (entry == AskedBackends::kNone) return kNoFlow;
    const FlowIndex index = asked_[entry].flow;
    const Flow& flow = flows_[index];
    const bool waits = flow.state == TcpState::kSynSent && flow.spliced && flows_.splice(index).pending == entry;
    if (!waits) {
      asked_.remove(entry);  // of a flow that is none of its own
      continue;
    }
    if (state_.is_lost(flow) || !asked_.again(entry, clock_.now32_ms())) {
      asked_.remove(entry);
      return index;
    }
    send_syn(index);
    counters_.count(Counter::kSynProxyRetried);
  }
  return kNoFlow;
}

}  // namespace sluice
