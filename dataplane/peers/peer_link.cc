// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/peer_link.h"

#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "dataplane/base/setup_error.h"

namespace sluice {
namespace {

constexpr size_t kMostNameBytes = 63;

uint64_t get64(const uint8_t* at) {
  uint64_t out;
  std::memcpy(&out, at, sizeof out);
  return out;
}

void put64(uint8_t* at, uint64_t value) {
  std::memcpy(at, &value, sizeof value);
}

}  // namespace

uint64_t draw_random() {
  uint64_t out = 0;
  if (getrandom(&out, sizeof out, 0) != sizeof out) throw SetupError("the kernel has no random numbers");
  return out == 0 ? 1 : out;
}

PeerLink::Opened PeerLink::open(std::span<const uint8_t> datagram, uint8_t* text) {
  const auto header = read_seal_header(datagram);
  if (!header || header->session == own_session_) return {Verdict::kForged};
  const bool known = key_ && header->session == session_;
  std::optional<SessionKey> fresh;
  if (!known) fresh.emplace(secret_, header->session, false);
  const auto bytes = (known ? *key_ : *fresh).open(datagram, text);
  if (!bytes) return {Verdict::kForged};
  if (*bytes < kTextHeaderBytes) return {Verdict::kMalformed};
  const std::span opened(text, *bytes);
  const uint64_t echo = get64(text);
  const bool echoes_pending = pending_ != 0 && echo == pending_;
  if (known && (echo == cookie_ || echoes_pending)) {
    return window_.take(header->number) ? read(opened, false) : Opened{Verdict::kReplayed};
  }
  if (echoes_pending) {
    session_ = header->session;
    key_ = std::move(fresh);
    window_ = {};
    window_.take(header->number);
    cookie_ = pending_;
    pending_ = 0;
    return read(opened, true);
  }
  if (text[8] != static_cast<uint8_t>(Kind::kHello) || *bytes < kTextHeaderBytes + 8) return {Verdict::kReplayed};
  if (pending_ == 0) pending_ = draw_random();
  return {.verdict = Verdict::kGreeting, .answer_echo = get64(text + kTextHeaderBytes)};
}

PeerLink::Opened PeerLink::read(std::span<const uint8_t> text, bool begins) {
  const std::span body = text.subspan(kTextHeaderBytes);
  if (text[8] == static_cast<uint8_t>(Kind::kFlows)) {
    return {.verdict = Verdict::kFlows, .begins = begins, .body = body};
  }
  if (text[8] == static_cast<uint8_t>(Kind::kAnswers)) {
    return {.verdict = Verdict::kAnswers, .begins = begins, .body = body};
  }
  const size_t name_bytes = body.size() < 8 ? 0 : body.size() - 8;
  if (text[8] != static_cast<uint8_t>(Kind::kHello) || body.size() < 8 || name_bytes > kMostNameBytes) {
    return {.verdict = Verdict::kMalformed, .begins = begins};
  }
  echo_ = get64(body.data());
  return {.verdict = Verdict::kHello,
          .begins = begins,
          .node = {reinterpret_cast<const char*>(body.data()) + 8, name_bytes}};
}

size_t PeerLink::write_hello(uint64_t echo, std::string_view node, uint8_t* out) {
  if (pending_ == 0 && (echo != 0 || !key_)) pending_ = draw_random();
  put64(out, echo != 0 ? echo : echo_);
  out[8] = static_cast<uint8_t>(Kind::kHello);
  // An answer is for a session that has yet to show itself.
  put64(out + kTextHeaderBytes, echo != 0 || !key_ ? pending_ : cookie_);
  const size_t name_bytes = std::min(node.size(), kMostNameBytes);
  std::memcpy(out + kTextHeaderBytes + 8, node.data(), name_bytes);
  return kTextHeaderBytes + 8 + name_bytes;
}

size_t PeerLink::write_header(Kind kind, uint8_t* out) const noexcept {
  put64(out, echo_);
  out[8] = static_cast<uint8_t>(kind);
  return kTextHeaderBytes;
}

}  // namespace sluice
