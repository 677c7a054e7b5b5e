// SPDX-License-Identifier: Apache-2.0
//
// IpAddress, SocketAddress and IpPrefix of config/model.h: text to bytes and back.
#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "config/model.h"

namespace sluice::config {

namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::optional<IpAddress> IpAddress::parse(const std::string& text) {
  IpAddress out;
  if (text.find('\0') != std::string::npos) return std::nullopt;
  if (inet_pton(AF_INET6, text.c_str(), out.bytes.data()) == 1) return out;
  if (inet_pton(AF_INET, text.c_str(), out.bytes.data() + kMappedPrefix.size()) != 1) return std::nullopt;
  std::ranges::copy(kMappedPrefix, out.bytes.begin());
  return out;
}

bool IpAddress::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (is_v4())
    inet_ntop(AF_INET, bytes.data() + kMappedPrefix.size(), text.data(), text.size());
  else
    inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
  return text.data();
}

std::expected<SocketAddress, std::string> SocketAddress::parse(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return std::unexpected("has no port");
  std::string host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  if (!address || address->is_v4() == bracketed)
    return std::unexpected("has " + text.substr(0, colon) + " where an address should stand");
  unsigned port = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + colon + 1, end, port);
  if (error != std::errc{} || stop != end || port == 0 || port > 65535)
    return std::unexpected("has " + text.substr(colon + 1) + " where a port should stand");
  return SocketAddress{*address, static_cast<uint16_t>(port)};
}

std::string SocketAddress::to_string() const {
  const std::string host = address.to_string();
  return (address.is_v4() ? host : "[" + host + "]") + ":" + std::to_string(port);
}

std::expected<IpPrefix, std::string> IpPrefix::parse(const std::string& text) {
  const size_t slash = text.find('/');
  const auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return std::unexpected("is no prefix");
  const unsigned unused = address->is_v4() ? 8 * kMappedPrefix.size() : 0;
  unsigned bits = 128 - unused;
  if (slash != std::string::npos) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + slash + 1, end, bits);
    if (error != std::errc{} || stop != end || bits > 128 - unused)
      return std::unexpected("has " + text.substr(slash + 1) + " where a length should stand");
  }
  const IpPrefix out = of(*address, static_cast<uint8_t>(unused + bits));
  if (out.address != *address)
    return std::unexpected("has bits set behind its length; " + out.to_string() + " does not");
  return out;
}

IpPrefix IpPrefix::of(IpAddress address, uint8_t bits) {
  for (size_t i = 0; i < address.bytes.size(); i++) {
    const size_t kept = std::clamp<size_t>(bits, 8 * i, 8 * i + 8) - 8 * i;
    address.bytes[i] &= static_cast<uint8_t>(0xff00U >> kept);
  }
  return {address, bits};
}

std::string IpPrefix::to_string() const {
  return address.to_string() + "/" + std::to_string(address.is_v4() ? bits - 8 * kMappedPrefix.size() : bits);
}

bool IpPrefix::contains(const IpPrefix& other) const {
  if (other.bits < bits || address.is_v4() != other.address.is_v4()) return false;
  if (!std::equal(address.bytes.begin(), address.bytes.begin() + bits / 8, other.address.bytes.begin())) return false;
  return bits % 8 == 0 || ((address.bytes[bits / 8] ^ other.address.bytes[bits / 8]) >> (8 - bits % 8)) == 0;
}

}  // namespace sluice::config
