// SPDX-License-Identifier: Apache-2.0
#include "dataplane/peers/seal.h"

#include <openssl/hmac.h>

#include <cstring>
#include <new>

namespace sluice {
namespace {

constexpr std::array<uint8_t, 4> kMagic{'S', 'L', 'P', '1'};
constexpr size_t kSessionAt = 4, kNumberAt = 12, kNonceBytes = 12;

void put64(uint8_t* at, uint64_t value) {
  const uint64_t network = __builtin_bswap64(value);
  std::memcpy(at, &network, sizeof network);
}

uint64_t get64(const uint8_t* at) {
  uint64_t network;
  std::memcpy(&network, at, sizeof network);
  return __builtin_bswap64(network);
}

std::array<uint8_t, kNonceBytes> nonce_of(uint64_t number) {
  std::array<uint8_t, kNonceBytes> out{};
  put64(out.data() + kNonceBytes - sizeof number, number);
  return out;
}

}  // namespace

std::optional<SealHeader> read_seal_header(std::span<const uint8_t> datagram) noexcept {
  if (datagram.size() < kSealHeaderBytes + kSealTagBytes || datagram.size() > kMostDatagramBytes) return std::nullopt;
  if (std::memcmp(datagram.data(), kMagic.data(), kMagic.size()) != 0) return std::nullopt;
  return SealHeader{get64(datagram.data() + kSessionAt), get64(datagram.data() + kNumberAt)};
}

SessionKey::SessionKey(Secret secret, uint64_t session, bool seals)
    : session_(session), context_(EVP_CIPHER_CTX_new()) {
  std::array<uint8_t, 8> label;
  std::array<uint8_t, EVP_MAX_MD_SIZE> key;
  put64(label.data(), session);
  const bool made = context_ != nullptr && HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
                                                label.data(), label.size(), key.data(), nullptr) != nullptr;
  const auto init = seals ? EVP_EncryptInit_ex : EVP_DecryptInit_ex;
  if (!made || init(context_.get(), EVP_aes_256_gcm(), nullptr, key.data(), nullptr) != 1) throw std::bad_alloc();
}

size_t SessionKey::seal(uint64_t number, std::span<const uint8_t> text, uint8_t* out) noexcept {
  std::memcpy(out, kMagic.data(), kMagic.size());
  put64(out + kSessionAt, session_);
  put64(out + kNumberAt, number);
  const auto nonce = nonce_of(number);
  EVP_CIPHER_CTX* context = context_.get();
  uint8_t* at = out + kSealHeaderBytes;
  int n = 0, last = 0;
  const bool sealed = text.size() <= kMostTextBytes &&
                      EVP_EncryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()) == 1 &&
                      EVP_EncryptUpdate(context, nullptr, &n, out, kSealHeaderBytes) == 1 &&
                      EVP_EncryptUpdate(context, at, &n, text.data(), static_cast<int>(text.size())) == 1 &&
                      EVP_EncryptFinal_ex(context, at + n, &last) == 1 &&
                      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, kSealTagBytes, at + text.size()) == 1;
  return sealed ? kSealHeaderBytes + text.size() + kSealTagBytes : 0;
}

std::optional<size_t> SessionKey::open(std::span<const uint8_t> datagram, uint8_t* text) noexcept {
  const auto header = read_seal_header(datagram);
  if (!header || header->session != session_) return std::nullopt;
  const auto nonce = nonce_of(header->number);
  const size_t bytes = datagram.size() - kSealHeaderBytes - kSealTagBytes;
  std::array<uint8_t, kSealTagBytes> tag;
  std::memcpy(tag.data(), datagram.data() + kSealHeaderBytes + bytes, tag.size());
  EVP_CIPHER_CTX* context = context_.get();
  int n = 0, last = 0;
  const bool opened =
      EVP_DecryptInit_ex(context, nullptr, nullptr, nullptr, nonce.data()) == 1 &&
      EVP_DecryptUpdate(context, nullptr, &n, datagram.data(), kSealHeaderBytes) == 1 &&
      EVP_DecryptUpdate(context, text, &n, datagram.data() + kSealHeaderBytes, static_cast<int>(bytes)) == 1 &&
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, kSealTagBytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(context, text + n, &last) == 1;
  return opened ? std::optional(bytes) : std::nullopt;
}

}  // namespace sluice
