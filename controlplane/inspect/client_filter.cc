// SPDX-License-Identifier: Apache-2.0
#include "controlplane/inspect/client_filter.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "config/model.h"

namespace sluice::control {

namespace {

constexpr uint32_t kMappedBits = 96;  // of a v4-mapped address

std::optional<uint32_t> whole_number(const std::string& text, uint32_t least, uint32_t most) {
  uint32_t out = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, out);
  if (parsed.ec != std::errc() || parsed.ptr != end || out < least || out > most) return std::nullopt;
  return out;
}

/// Cuts ":PORT" off `text` if there is one; false if it is none.
bool take_port(std::string& text, uint16_t& port) {
  const bool bracketed = text.starts_with('[');
  const size_t close = bracketed ? text.find(']') : std::string::npos;
  if (bracketed && close == std::string::npos) return false;
  const bool v4 = !bracketed && text.find(':') == text.rfind(':');
  const size_t colon = bracketed ? close + 1 : v4 ? text.find(':') : std::string::npos;
  if (colon < text.size()) {
    const auto number = whole_number(text.substr(colon + 1), 1, 65535);
    if (text[colon] != ':' || !number) return false;
    port = static_cast<uint16_t>(*number);
  }
  if (bracketed) {
    text = text.substr(1, close - 1);
  } else if (colon < text.size()) {
    text.resize(colon);
  }
  return true;
}

}  // namespace

std::expected<ClientFilter, std::string> ClientFilter::parse(const std::string& text) {
  ClientFilter out;
  if (text.empty()) return out;
  const auto refuse = [&] {
    return std::unexpected(
        fmt::format("client \"{}\": allowed: an address, ADDRESS:PORT, [V6ADDRESS]:PORT or a prefix "
                    "such as 192.0.2.0/24",
                    text));
  };
  const size_t slash = text.find('/');
  std::string host = text.substr(0, slash);
  if (slash == std::string::npos && !take_port(host, out.port)) return refuse();
  const auto address = config::IpAddress::parse(host);
  if (!address) return refuse();
  const uint32_t family_bits = address->is_v4() ? 128 - kMappedBits : 128;
  uint32_t bits = family_bits;
  if (slash != std::string::npos) {
    const auto given = whole_number(text.substr(slash + 1), 0, family_bits);
    if (!given) return refuse();
    bits = *given;
  }
  out.address.bytes = address->bytes;
  out.prefix_bits = 128 - family_bits + bits;
  return out;
}

}  // namespace sluice::control
