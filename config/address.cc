// SPDX-License-Identifier: Apache-2.0
//
// IpAddress of config/model.h: text to bytes and back.
#include <arpa/inet.h>

#include <algorithm>

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

}  // namespace sluice::config
