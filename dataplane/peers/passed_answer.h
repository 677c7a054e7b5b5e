// SPDX-License-Identifier: Apache-2.0
//
// A mail server's answer to a SYN, on its way from the node that it came to to the one that has asked: what its headers
// say. Whose SYN was answered in the server's place has all that belongs to it at one node alone, until the server has
// answered.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <type_traits>

#include "dataplane/contract/address.h"

namespace sluice {

struct PassedAnswer {
  static constexpr size_t kMostOptions = 40;

  Endpoint backend;
  Endpoint client;  // of the same family
  uint32_t sequence;
  uint32_t ack;
  Be16 window;
  uint8_t flags;          // of TCP
  uint8_t options_bytes;  // a multiple of 4, at most kMostOptions
  std::array<uint8_t, kMostOptions> options;

  friend bool operator==(const PassedAnswer&, const PassedAnswer&) = default;
};
static_assert(std::is_trivially_copyable_v<PassedAnswer> && sizeof(PassedAnswer) % 4 == 0);

inline constexpr size_t kMostAnswerBytes = 1 + 2 * 18 + 4 + 4 + 2 + 1 + 1 + PassedAnswer::kMostOptions;

/// Appends an answer to `out` at `used`: a byte that says whether its addresses are short, backend and client, numbers,
/// window, flags, and the options with their length before them. False, and nothing is written, if it finds no room.
bool append_answer(std::span<uint8_t> out, size_t& used, const PassedAnswer& answer) noexcept;

/// Takes the first answer off `rest`. Nothing if that is none: the rest is then nothing that is understood.
std::optional<PassedAnswer> take_answer(std::span<const uint8_t>& rest) noexcept;

}  // namespace sluice
