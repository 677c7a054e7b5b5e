// SPDX-License-Identifier: Apache-2.0
//
// Datagrams between nodes, sealed with AES-256-GCM: "SLP1", the sender's session (8 bytes, drawn when it starts), a
// number that the sender uses once (8 bytes, network order), the sealed text, a tag of 16 bytes. Each session has a key
// of its own, HMAC-SHA256 of the session under the nodes' secret, so that numbers may begin at 1 again.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

namespace sluice {

inline constexpr size_t kMostDatagramBytes = 1400;
inline constexpr size_t kSealHeaderBytes = 20, kSealTagBytes = 16;
inline constexpr size_t kMostTextBytes = kMostDatagramBytes - kSealHeaderBytes - kSealTagBytes;

using Secret = std::span<const uint8_t>;

/// What stands before the sealed text.
struct SealHeader {
  uint64_t session;
  uint64_t number;
};

/// Nothing if a datagram is too short or too long, or of another kind.
std::optional<SealHeader> read_seal_header(std::span<const uint8_t> datagram) noexcept;

/// The key of one session, to seal or to open.
class SessionKey {
 public:
  /// `seals`: else it opens.
  SessionKey(Secret secret, uint64_t session, bool seals);

  /// Seals `text` (at most kMostTextBytes) into `out` (kMostDatagramBytes). `number`: not used in this session before.
  /// Returns the bytes; 0 if the library refuses.
  size_t seal(uint64_t number, std::span<const uint8_t> text, uint8_t* out) noexcept;
  /// Opens a whole datagram of this session into `text` (kMostTextBytes). Nothing if it is forged.
  std::optional<size_t> open(std::span<const uint8_t> datagram, uint8_t* text) noexcept;

 private:
  struct Free {
    void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
  };

  uint64_t session_;
  std::unique_ptr<EVP_CIPHER_CTX, Free> context_;
};

/// Which numbers of a session have come: of the newest and the kWidth - 1 before it.
class ReplayWindow {
 public:
  static constexpr uint64_t kWidth = 2048;

  /// Notes a number. False if it has come before, or is too old to tell.
  bool take(uint64_t number) noexcept {
    if (number == 0 || (number <= newest_ && newest_ - number >= kWidth)) return false;
    for (; newest_ < number; newest_++) {
      if (number - newest_ > kWidth) {
        seen_.fill(0);
        newest_ = number;
        break;
      }
      clear(newest_ + 1);
    }
    uint64_t& word = seen_[number % kWidth / 64];
    const uint64_t bit = 1ULL << number % 64;
    if ((word & bit) != 0) return false;
    word |= bit;
    return true;
  }

 private:
  void clear(uint64_t number) noexcept { seen_[number % kWidth / 64] &= ~(1ULL << number % 64); }

  uint64_t newest_ = 0;
  std::array<uint64_t, kWidth / 64> seen_{};
};

}  // namespace sluice
