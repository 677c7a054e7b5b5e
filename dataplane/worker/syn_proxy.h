// SPDX-License-Identifier: Apache-2.0
//
// SYN cookies in a backend's place. A client's SYN is answered with numbers by which it is known again
// (flow/handshake_cookies.h) and with a window of nothing, so that it waits; nothing is kept of it. Who acknowledges
// them is there: a flow begins, and the backend is asked, with the client's number and what its SYN announced. When the
// backend answers, it gets its acknowledgement, and the client its window. From then on the two halves differ by what
// stays the same (flow/splice.h). A backend that does not answer is asked again, and then it is another's turn
// (worker/proven_clients.h). Thread safety: none; one worker owns it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "dataplane/flow/handshake_cookies.h"
#include "dataplane/flow/retry_queues.h"
#include "dataplane/packet/reset.h"
#include "dataplane/packet/tcp_options.h"
#include "dataplane/worker/answered_syns.h"
#include "dataplane/worker/proxy_injector.h"
#include "dataplane/worker/syn_pressure.h"

namespace sluice {

struct AskedBackend : RetryLinks {
  uint16_t window;  // of the client, in bytes, at most 65535
};

/// A server may have lost one SYN, or we its answer.
using AskedBackends = RetryQueues<AskedBackend, std::array<uint32_t, 2>{1000, 2000}, 1U << 16>;

/// Who has acknowledged an answer of ours.
struct ProvenClient {
  Splice splice;
  uint16_t window;  // in bytes, at most 65535
};

class SynProxy {
 public:
  /// Of a client whose own is not known any more, in bytes: enough for a greeting.
  static constexpr uint16_t kWindowUnknown = 1024;
  /// A backend that has no timestamps, although it was offered some, is taken to have none for so long.
  static constexpr uint64_t kNoTimestampsMs = 600'000;

  SynProxy(const Context& context, AnsweredSyns& answered) noexcept;

  void set_room(uint32_t handshakes) noexcept;
  void begin_poll() noexcept {
    resends_left_ = kResendsPerPoll;
    pressure_.begin_poll();
  }

  /// Whether we answer the SYNs of a service now. Not by ourselves where open sessions fill the table: a client that
  /// has our answer needs an entry, others may pass without one.
  bool answers(const Service& service) const noexcept {
    return service.syn_proxy == channel::SynProxy::kAlways ||
           (service.syn_proxy == channel::SynProxy::kAuto && pressure_.is_on() && !is_nearly_full());
  }
  void answer_syn(Burst& burst, uint32_t i, channel::ServiceId service) noexcept;

  /// What is to be known of a client that acknowledges such an answer; nullopt if the segment does not.
  std::optional<ProvenClient> proven(const Burst& burst, uint32_t i) noexcept {
    if (clock_.now_ms() >= answering_until_ms_) [[likely]]
      return std::nullopt;
    return read_cookie(*burst.mbuf[i], burst.packet[i]);
  }

  /// Makes a new flow, all of whose other fields are filled in, one of such a client, and asks its backend. False if
  /// too many wait already.
  bool ask(FlowIndex index, const ProvenClient& client) noexcept;
  /// What is known of a flow that waits.
  ProvenClient waiting(FlowIndex index) noexcept;
  /// Likewise of a flow that an earlier process left while it waited.
  void take_up() noexcept;

  /// The backend's SYN-ACK: from here on, the flow's numbers differ by what they will. `packet`'s become the client's.
  /// Returns the client's window, in bytes.
  uint16_t splice(FlowIndex index, const rte_mbuf& mbuf, Packet& packet) noexcept;
  /// The client's ACK to it, which the client has sent before, as far as the flow's state is concerned.
  Packet acknowledging(const Flow& flow, const Packet& syn_ack) const noexcept;
  /// What there is to be said of that ACK, in the client's numbers. `window`: in bytes.
  ProxyInjector::ClientAck client_ack(FlowIndex index, const rte_mbuf& mbuf, const Packet& syn_ack,
                                      uint16_t window) const noexcept;
  /// Sends it, for the first time or because it was lost.
  void acknowledge(FlowIndex index, const ProxyInjector::ClientAck& ack) noexcept;
  /// Makes of the SYN-ACK in `mbuf` what opens the client's window.
  void open_window(FlowIndex index, rte_mbuf& mbuf, const Packet& packet) noexcept;

  /// What servers of a service announce: we promise no more.
  void learn(channel::ServiceId service, const rte_mbuf& mbuf, const Packet& syn_ack) noexcept;

  /// Asks again where no answer came, a few in each poll iteration. Returns a flow whose backend was asked in vain too
  /// often, or has died; to be called until it returns kNoFlow.
  FlowIndex ask_again() noexcept;

 private:
  static constexpr uint32_t kResendsPerPoll = 32;

  /// Of a service.
  struct Promise {
    uint16_t mss = UINT16_MAX;
    uint64_t timestamps_from_ms = 0;
  };

  bool is_nearly_full() const noexcept {
    return flows_.size() + room_for_proven_ >= flows_.capacity() + counters_[Counter::kFlowsEmbryonicNow];
  }
  std::optional<ProvenClient> read_cookie(const rte_mbuf& mbuf, const Packet& packet) noexcept;
  uint16_t most_mss(uint32_t port, bool v6) const noexcept;
  static Be16 window_for_backend(const Splice& splice, uint16_t window) noexcept;
  void send_syn(FlowIndex index) noexcept;

  const PollClock& clock_;
  Counters& counters_;
  FlowTable& flows_;
  const ForwardingState& state_;
  Egress& egress_;
  AnsweredSyns& answered_;
  const uint32_t handshake_ms_;
  uint32_t room_for_proven_ = 0;  // for those who have our answer already
  HandshakeCookies cookies_;
  SynPressure pressure_;
  AskedBackends asked_;
  std::array<Promise, channel::kMaxServices> promise_{};
  uint64_t answering_until_ms_ = 0;  // no cookie is good any more from then on
  uint32_t resends_left_ = 0;        // in this poll iteration
};

}  // namespace sluice
