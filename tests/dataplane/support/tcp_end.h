// SPDX-License-Identifier: Apache-2.0
//
// One end of a TCP connection past its handshake, as simple as it can be and still do what real ones do to a middlebox:
// it retransmits with new boundaries, closes its window and probes a closed one, keeps alive, closes its half, or gives
// the connection up. It believes resets as RFC 5961 says.
// Offsets count from the SYN's number in 64 bits and so do not wrap; the numbers on the wire do.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "dataplane/packet/packet.h"

namespace sluice::testing {

/// What is on the wire, with the window in bytes.
struct TcpSegment {
  uint8_t flags;
  uint32_t sequence;
  uint32_t ack;
  uint16_t payload;
  uint64_t window;
};

class TcpEnd {
 public:
  /// It has `bytes` to say. Its window is at most `largest_window`.
  TcpEnd(uint32_t isn, uint32_t peer_isn, uint64_t bytes, uint64_t largest_window)
      : isn_(isn), peer_isn_(peer_isn), end_(1 + bytes), largest_window_(largest_window), window_(largest_window) {}

  uint32_t next() const { return number(next_); }
  bool has_closed() const { return next_ > end_; }
  bool has_said_all() const { return next_ == end_ && unacknowledged_ == next_; }
  bool is_done() const { return has_closed() && unacknowledged_ == next_ && peer_closed_; }
  bool owes_ack() const { return owes_ack_; }

  /// What comes next in the stream, as far as the peer's window goes; a closed window is probed with a byte.
  bool has_more() const { return next_ < end_; }
  TcpSegment say(uint16_t at_most) {
    const uint64_t room = edge_ > next_ ? edge_ - next_ : 1;
    const uint64_t from = next_;
    next_ = std::min({next_ + at_most, end_, next_ + room});
    return segment(from, next_, kTcpPsh);
  }
  TcpSegment close() {
    next_ = end_ + 1;
    return segment(end_, end_, kTcpFin);
  }
  bool has_unacknowledged() const { return unacknowledged_ < next_; }
  TcpSegment say_again(uint16_t at_most) const {
    const uint64_t to = std::min(unacknowledged_ + at_most, next_);
    const bool fin = to > end_;
    return segment(unacknowledged_, fin ? end_ : to, fin ? kTcpFin : uint8_t{0});
  }
  TcpSegment keep_alive() const { return segment(next_ - 1, next_ - 1, 0); }
  TcpSegment acknowledge() {
    owes_ack_ = false;
    return segment(next_, next_, 0);
  }
  /// It knows the connection no more.
  TcpSegment abort() {
    gone_ = true;
    return {kTcpRst | kTcpAck, number(next_), expects(), 0, 0};
  }
  /// It has given up, or was reset.
  bool is_gone() const { return gone_; }
  /// What comes for a connection that it knows no more is answered with a reset at the number that its sender waits for
  /// (RFC 9293 section 3.10.7.1).
  bool owes_reset() const { return refused_.has_value(); }
  TcpSegment refuse() { return {kTcpRst, *std::exchange(refused_, std::nullopt), 0, 0, 0}; }
  /// The number that it waits for.
  uint32_t expects() const { return peer_isn_ + static_cast<uint32_t>(rcv_); }
  void set_window(uint64_t share) { window_ = largest_window_ * share / 255; }

  void receive(const TcpSegment& segment) {
    if ((segment.flags & kTcpRst) != 0) return receive_reset(segment);
    if (gone_) {
      refused_ = segment.ack;
      return;
    }
    const uint64_t ack = offset(segment.ack, isn_, unacknowledged_);
    if (ack <= next_) {
      unacknowledged_ = std::max(unacknowledged_, ack);
      edge_ = ack + segment.window;
    }
    const uint64_t from = offset(segment.sequence, peer_isn_, rcv_);
    const uint64_t fin = (segment.flags & kTcpFin) != 0 ? 1 : 0;
    const uint64_t to = std::min(from + segment.payload + fin, std::max(rcv_ + window_, rcv_ + 1));
    owes_ack_ |= segment.payload != 0 || fin != 0 || from != rcv_;
    if (fin != 0) peer_end_ = from + segment.payload;
    if (to > from) pieces_[from] = std::max(pieces_[from], to);
    for (auto it = pieces_.begin(); it != pieces_.end() && it->first <= rcv_; it = pieces_.erase(it)) {
      rcv_ = std::max(rcv_, it->second);
    }
    peer_closed_ = peer_closed_ || (peer_end_ != 0 && rcv_ > peer_end_);
  }

 private:
  /// At the very number it counts; within the window it is challenged by an acknowledgement; else it is nothing (RFC
  /// 5961 section 3.2).
  void receive_reset(const TcpSegment& segment) {
    const uint64_t at = offset(segment.sequence, peer_isn_, rcv_);
    if (at == rcv_) gone_ = true;
    if (at > rcv_ && at < rcv_ + window_) owes_ack_ = true;
  }
  uint32_t number(uint64_t offset) const { return isn_ + static_cast<uint32_t>(offset); }
  /// The offset of a number, the nearest to one that is known.
  static uint64_t offset(uint32_t number, uint32_t isn, uint64_t known) {
    const auto away = static_cast<int32_t>(number - (isn + static_cast<uint32_t>(known)));
    return known + static_cast<uint64_t>(int64_t{away});
  }
  TcpSegment segment(uint64_t from, uint64_t to, uint8_t flags) const {
    return {static_cast<uint8_t>(flags | kTcpAck), number(from), expects(), static_cast<uint16_t>(to - from), window_};
  }

  const uint32_t isn_, peer_isn_;
  const uint64_t end_;  // of what it has to say; its FIN is there
  const uint64_t largest_window_;
  uint64_t window_;
  uint64_t unacknowledged_ = 1, next_ = 1;
  uint64_t edge_ = 1 + 65535;  // the peer takes nothing beyond
  uint64_t rcv_ = 1, peer_end_ = 0;
  std::map<uint64_t, uint64_t> pieces_;  // received out of order: begin, end
  bool owes_ack_ = false, peer_closed_ = false, gone_ = false;
  std::optional<uint32_t> refused_;  // what came last for a connection that it knows no more acknowledges this
};

}  // namespace sluice::testing
