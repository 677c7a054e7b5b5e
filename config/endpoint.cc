// SPDX-License-Identifier: Apache-2.0
#include "config/endpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "config/bounds.h"
#include "config/model.h"

namespace sluice::config {

namespace {

bool is_name(std::string_view text) {
  const auto may_be = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
  };
  return !text.empty() && text.size() <= kMaxDomainBytes && text.front() != '.' && text.front() != '-' &&
         text.find("..") == std::string_view::npos && std::ranges::all_of(text, may_be);
}

/// Something that would be an address if it were right: no name of the DNS ends in a number.
bool looks_like_v4(std::string_view text) {
  const std::string_view last = text.substr(text.rfind('.') + 1);
  return std::ranges::all_of(last, [](char c) { return c >= '0' && c <= '9'; });
}

/// "" or what is wrong with it.
std::string read_port(std::string_view text, uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && port != 0 ? "" : "has no port from 1 to 65535 behind its \":\"";
}

}  // namespace

std::expected<Endpoint, std::string> Endpoint::parse(const std::string& text) {
  constexpr std::string_view kSecure = "https://", kPlain = "http://";
  Endpoint out;
  out.tls = text.starts_with(kSecure);
  if (!out.tls && !text.starts_with(kPlain)) return std::unexpected("begins neither with https:// nor with http://");
  std::string_view rest = std::string_view(text).substr(out.tls ? kSecure.size() : kPlain.size());
  if (rest.find_first_of("/?#@") != std::string_view::npos)
    return std::unexpected("has more than a host and a port behind its scheme");
  const bool in_brackets = rest.starts_with('[');
  const size_t end = in_brackets ? rest.find(']') : rest.find(':');
  if (in_brackets && end == std::string_view::npos) return std::unexpected("has no \"]\" behind its address");
  out.host = rest.substr(in_brackets ? 1 : 0, end - (in_brackets ? 1 : 0));
  const auto address = IpAddress::parse(out.host);
  const bool is_v6 = address && !address->is_v4();
  if (in_brackets && !is_v6) return std::unexpected("has no IPv6 address in its brackets");
  if (!in_brackets && !is_name(out.host)) return std::unexpected("has no name or address of a host");
  if (!in_brackets && looks_like_v4(out.host) && !address) return std::unexpected("has no address that is one");
  rest = end == std::string_view::npos ? "" : rest.substr(end + (in_brackets ? 1 : 0));
  if (rest.empty()) return out;
  if (!rest.starts_with(':')) return std::unexpected("has something else than a port behind its address");
  if (std::string wrong = read_port(rest.substr(1), out.port); !wrong.empty()) return std::unexpected(std::move(wrong));
  return out;
}

std::string Endpoint::to_string() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", tls ? "https" : "http", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
}

bool Endpoint::is_loopback() const {
  const auto address = IpAddress::parse(host);
  return address && (address == IpAddress::parse("::1") || (address->is_v4() && address->bytes[12] == 127));
}

}  // namespace sluice::config
