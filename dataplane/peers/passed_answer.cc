// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/passed_answer.h"

#include <algorithm>

#include "dataplane/peers/wire.h"

namespace sluice {
namespace {

constexpr uint8_t kV4 = 1;

/// Without its options.
constexpr size_t bytes_of(bool v4) {
  return 1 + 2 * endpoint_bytes(v4) + 4 + 4 + sizeof(Be16) + 2;
}

}  // namespace

bool append_answer(std::span<uint8_t> out, size_t& used, const PassedAnswer& answer) noexcept {
  const bool v4 = answer.backend.address.is_v4() && answer.client.address.is_v4();
  const size_t bytes = bytes_of(v4) + answer.options_bytes;
  if (out.size() - used < bytes) return false;
  uint8_t* at = out.data() + used;
  *at++ = v4 ? kV4 : 0;
  at = put_endpoint(put_endpoint(at, answer.backend, v4), answer.client, v4);
  at = put_word(put_word(at, answer.sequence), answer.ack);
  std::memcpy(at, &answer.window, sizeof answer.window);
  at += sizeof answer.window;
  *at++ = answer.flags;
  *at++ = answer.options_bytes;
  std::copy_n(answer.options.begin(), answer.options_bytes, at);
  used += bytes;
  return true;
}

std::optional<PassedAnswer> take_answer(std::span<const uint8_t>& rest) noexcept {
  if (rest.empty() || rest[0] > kV4) return std::nullopt;
  const bool v4 = rest[0] == kV4;
  if (rest.size() < bytes_of(v4)) return std::nullopt;
  rest = rest.subspan(1);
  PassedAnswer out{};
  out.backend = take_endpoint(rest, v4);
  out.client = take_endpoint(rest, v4);
  out.sequence = take_word(rest);
  out.ack = take_word(rest);
  std::memcpy(&out.window, rest.data(), sizeof out.window);
  rest = rest.subspan(sizeof out.window);
  out.flags = take_byte(rest);
  out.options_bytes = take_byte(rest);
  const bool of_one_family = out.backend.address.is_v4() == out.client.address.is_v4();
  const bool fits = out.options_bytes <= PassedAnswer::kMostOptions && out.options_bytes % 4 == 0;
  if (!of_one_family || !fits || rest.size() < out.options_bytes) return std::nullopt;
  std::copy_n(rest.begin(), out.options_bytes, out.options.begin());
  rest = rest.subspan(out.options_bytes);
  return out;
}

}  // namespace sluice
