// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/ja4.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

namespace sluice::control {

namespace {

constexpr uint16_t kServerName = 0, kAlpn = 16;

std::string_view version_mark(uint16_t version) {
  switch (version) {
    case 0x0304:
      return "13";
    case 0x0303:
      return "12";
    case 0x0302:
      return "11";
    case 0x0301:
      return "10";
    case 0x0300:
      return "s3";
    case 0x0002:
      return "s2";
    default:
      return "00";
  }
}

/// The first and the last character of the first protocol; of its hexadecimal form if these are no letters or digits.
std::string alpn_mark(std::string_view alpn) {
  if (alpn.empty()) return "00";
  const auto first = static_cast<uint8_t>(alpn.front()), last = static_cast<uint8_t>(alpn.back());
  const auto is_plain = [](uint8_t c) { return c < 0x80 && std::isalnum(c) != 0; };
  if (is_plain(first) && is_plain(last)) return {alpn.front(), alpn.back()};
  return fmt::format("{:x}{:x}", first >> 4, last & 0x0f);
}

void append_hex(std::string& out, uint32_t value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) out.push_back("0123456789abcdef"[value >> shift & 0xf]);
}

/// Four digits each, with commas between.
std::string in_hex(const std::vector<uint16_t>& values) {
  std::string out;
  out.reserve(5 * values.size());
  for (const uint16_t value : values) {
    if (!out.empty()) out.push_back(',');
    append_hex(out, value, 4);
  }
  return out;
}

/// The first 12 hexadecimal digits of SHA-256; zeros of nothing.
std::string digest(const std::string& text) {
  if (text.empty()) return "000000000000";
  std::array<uint8_t, SHA256_DIGEST_LENGTH> out;
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), out.data());
  std::string digits;
  for (size_t i = 0; i < 6; i++) append_hex(digits, out[i], 2);
  return digits;
}

}  // namespace

std::string ja4(const ClientHello& hello) {
  std::vector<uint16_t> ciphers = hello.ciphers;
  std::ranges::sort(ciphers);
  std::vector<uint16_t> extensions = hello.extensions;
  std::erase_if(extensions, [](uint16_t type) { return type == kServerName || type == kAlpn; });
  std::ranges::sort(extensions);
  std::string rest = in_hex(extensions);
  if (!rest.empty() && !hello.signature_algorithms.empty()) rest += "_" + in_hex(hello.signature_algorithms);
  return fmt::format("t{}{}{:02}{:02}{}_{}_{}", version_mark(hello.version), hello.names_server ? 'd' : 'i',
                     std::min<size_t>(hello.ciphers.size(), 99), std::min<size_t>(hello.extensions.size(), 99),
                     alpn_mark(hello.alpn), digest(in_hex(ciphers)), digest(rest));
}

}  // namespace sluice::control
