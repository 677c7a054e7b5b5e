// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/doctor/dns_question.h"

#include <fmt/format.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstring>
#include <optional>
#include <random>

#include "controlplane/base/descriptor.h"

namespace sluice::ctl {

namespace {

constexpr int kAttempts = 2;
constexpr std::chrono::milliseconds kPatience{1000};
constexpr size_t kHeaderBytes = 12;
constexpr size_t kMostLabelBytes = 63;
constexpr size_t kMostNameBytes = 253;
constexpr uint8_t kRecursionDesired = 0x01;  // of the third byte
constexpr uint8_t kIsAnswer = 0x80;
constexpr uint8_t kTruncated = 0x02;
constexpr uint8_t kClassInternet = 1;

/// The interface of that name or number; nothing if there is none.
std::optional<uint32_t> interface_of(const std::string& scope) {
  if (const unsigned known = if_nametoindex(scope.c_str()); known != 0) return known;
  uint32_t out = 0;
  const char* end = scope.data() + scope.size();
  const auto [rest, error] = std::from_chars(scope.data(), end, out);
  return error == std::errc() && rest == end ? std::optional(out) : std::nullopt;
}

/// A socket that hears that server alone; none if there is no way to it.
control::Descriptor connected_to(const DnsServer& known) {
  const config::SocketAddress& server = known.address;
  sockaddr_in6 v6{};
  sockaddr_in v4{};
  const auto& bytes = server.address.bytes;
  const bool is_v4 = server.address.is_v4();
  v4.sin_family = AF_INET;
  v4.sin_port = htons(server.port);
  std::memcpy(&v4.sin_addr, bytes.data() + bytes.size() - sizeof v4.sin_addr, sizeof v4.sin_addr);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(server.port);
  std::memcpy(&v6.sin6_addr, bytes.data(), sizeof v6.sin6_addr);
  if (!known.scope.empty()) {
    const auto interface = interface_of(known.scope);
    if (!interface) return control::Descriptor();
    v6.sin6_scope_id = *interface;
  }
  control::Descriptor out(socket(is_v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const auto* address = is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  const auto size = static_cast<socklen_t>(is_v4 ? sizeof v4 : sizeof v6);
  if (!out || connect(out.get(), address, size) != 0) return control::Descriptor();
  return out;
}

std::string words_for(unsigned code) {
  constexpr std::array<std::string_view, 6> kWords{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"};
  return code < kWords.size() ? std::string(kWords[code]) : fmt::format("code {}", code);
}

DnsSaid ask_once(const control::Descriptor& socket, const std::string& name, DnsType type) {
  const auto id = static_cast<uint16_t>(std::random_device{}());
  const std::vector<uint8_t> question = dns_question(id, name, type);
  if (question.empty()) return {DnsSaid::What::kNone, ""};
  if (send(socket.get(), question.data(), question.size(), MSG_NOSIGNAL) < 0) return {};
  const auto until = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd waits{.fd = socket.get(), .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || poll(&waits, 1, static_cast<int>(left.count())) <= 0) return {};
    std::array<uint8_t, 4096> answer{};
    const ssize_t n = recv(socket.get(), answer.data(), answer.size(), 0);
    if (n < 0) return {};  // refused by its host
    DnsSaid said = dns_said(id, {answer.data(), static_cast<size_t>(n)});
    if (said.what != DnsSaid::What::kSilent) return said;
  }
}

}  // namespace

std::string_view name_of(DnsType type) {
  switch (type) {
    case DnsType::kA:
      return "A";
    case DnsType::kMx:
      return "MX";
    case DnsType::kTxt:
      return "TXT";
    case DnsType::kAaaa:
      return "AAAA";
    case DnsType::kSrv:
      return "SRV";
    case DnsType::kTlsa:
      return "TLSA";
  }
  return "";
}

std::string DnsServer::to_string() const {
  std::string out = address.to_string();
  if (!scope.empty()) out.insert(std::min(out.rfind(']'), out.size()), "%" + scope);
  return out;
}

DnsSaid ask_dns(const DnsServer& server, const std::string& name, DnsType type) {
  const control::Descriptor socket = connected_to(server);
  DnsSaid out;
  for (int i = 0; socket && i < kAttempts && out.what == DnsSaid::What::kSilent; i++)
    out = ask_once(socket, name, type);
  return out;
}

std::vector<uint8_t> dns_question(uint16_t id, const std::string& name, DnsType type) {
  std::vector<uint8_t> out{static_cast<uint8_t>(id >> 8), static_cast<uint8_t>(id), kRecursionDesired, 0, 0, 1};
  out.resize(kHeaderBytes);
  std::string_view rest(name);
  if (rest.ends_with('.')) rest.remove_suffix(1);
  if (rest.empty() || rest.size() > kMostNameBytes) return {};
  while (!rest.empty()) {
    const std::string_view label = rest.substr(0, rest.find('.'));
    if (label.empty() || label.size() > kMostLabelBytes) return {};
    out.push_back(static_cast<uint8_t>(label.size()));
    out.insert(out.end(), label.begin(), label.end());
    rest.remove_prefix(std::min(label.size() + 1, rest.size()));
  }
  const auto number = static_cast<uint16_t>(type);
  out.insert(out.end(), {0, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number), 0, kClassInternet});
  return out;
}

DnsSaid dns_said(uint16_t id, std::span<const uint8_t> message) {
  if (message.size() < kHeaderBytes || (message[2] & kIsAnswer) == 0) return {};
  if (message[0] != id >> 8 || message[1] != (id & 0xff)) return {};
  constexpr unsigned kNoSuchName = 3;
  const unsigned code = message[3] & 0x0fU;
  const bool has_answers = (message[6] | message[7]) != 0 || (message[2] & kTruncated) != 0;
  if (code == kNoSuchName) return {DnsSaid::What::kNone, ""};
  if (code != 0) return {DnsSaid::What::kFault, words_for(code)};
  return {has_answers ? DnsSaid::What::kRecords : DnsSaid::What::kNone, ""};
}

}  // namespace sluice::ctl
