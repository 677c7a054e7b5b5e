// SPDX-License-Identifier: Apache-2.0
#include "config/schema/text_rules.h"

#include <cctype>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ranges>
#include <string_view>

#include "config/bounds.h"
#include "config/endpoint.h"
#include "config/model.h"
#include "config/schema/lcores.h"
#include "config/schema/pattern.h"

namespace sluice::config {

namespace {

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Whether all of `text` is letters, digits and characters of `others`.
bool made_of(std::string_view text, std::string_view others) {
  return std::ranges::all_of(text,
                             [&](char c) { return is_alphanumeric(c) || others.find(c) != std::string_view::npos; });
}

std::string too_long(const std::string& text, size_t most) {
  return text.size() > most ? fmt::format("is {} bytes long", text.size()) : "";
}

std::string name_fault(const std::string& text) {
  if (text.empty()) return "is empty";
  if (!made_of(text, "._-")) return "has a character that names may not have";
  if (!is_alphanumeric(text.front())) return "does not start with a letter or digit";
  return too_long(text, kMaxNameBytes);
}

std::string interface_fault(const std::string& text) {
  if (text.empty()) return "is empty";
  if (!made_of(text, "._-")) return "has a character that interface names may not have";
  if (text == "." || text == "..") return "is no name";
  return too_long(text, kMaxInterfaceNameBytes);
}

std::string device_fault(const std::string& text) {
  if (text.empty()) return "is empty";
  const std::string_view name = std::string_view(text).substr(0, text.find(','));
  if (!is_alphanumeric(text.front()) || !made_of(name, "_:.-")) return "does not start with the name of a device";
  const auto graphic = [](unsigned char c) { return c > ' ' && c != 0x7f; };
  return std::ranges::all_of(text, graphic) ? "" : "has a blank in it";
}

std::string mac_fault(const std::string& text) {
  constexpr size_t kTextBytes = 17;
  const auto fits = [&](size_t i) {
    return i % 3 == 2 ? text[i] == ':' : std::isxdigit(static_cast<unsigned char>(text[i])) != 0;
  };
  if (text.size() != kTextBytes || !std::ranges::all_of(std::views::iota(size_t{0}, kTextBytes), fits))
    return "is not six bytes in hexadecimal, with colons between them";
  if ((std::stoi(text.substr(0, 2), nullptr, 16) & 1) != 0) return "is that of a group of stations";
  return text == "00:00:00:00:00:00" ? "is nobody's" : "";
}

std::string lcores_fault(const std::string& text) {
  if (text.empty()) return "";
  const auto lcores = parse_lcores(text);
  return lcores ? "" : lcores.error();
}

std::string directory_fault(const std::string& text) {
  return text.empty() || text.front() == '/' ? "" : "is not absolute";
}

std::string socket_path_fault(const std::string& text) {
  if (text.empty() || text.front() != '/') return "is not an absolute path";
  if (text.back() == '/') return "is a directory";
  return too_long(text, kMaxSocketPathBytes);
}

std::string listen_address_fault(const std::string& text) {
  if (text.empty()) return "";
  const auto address = SocketAddress::parse(text);
  return address ? "" : address.error();
}

std::string pattern_text_fault(const std::string& text) {
  if (text.empty()) return "is empty";
  if (text.size() > kMaxPatternBytes) return too_long(text, kMaxPatternBytes);
  return pattern_fault(text);
}

std::string host_fault(const std::string& text) {
  if (text.size() > 253) return too_long(text, 253);
  const bool sound = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == '[' || c == ']' || c == ':';
  });
  return sound ? "" : "has a character that no host name has";
}

std::string group_fault(const std::string& text) {
  if (text.empty()) return "";
  if (!made_of(text, "._-")) return "has a character that no group's name has";
  return too_long(text, kMaxGroupNameBytes);
}

std::string keyword_fault(const std::string& text) {
  if (text.empty()) return "is empty";
  if (text.size() > 63) return too_long(text, 63);
  const bool sound =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; });
  return sound ? "" : "has a character that no EHLO keyword has";
}

std::string file_fault(const std::string& text) {
  return text.empty() || text[0] == '/' ? "" : "is not an absolute path";
}

std::string refusal_fault(const std::string& text) {
  if (text.size() > kMaxRefusalBytes) return too_long(text, kMaxRefusalBytes);
  if (!std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; }))
    return "has a character that is not ASCII";
  std::string_view rest = text;
  const auto takes_number = [&rest](char after) {
    const size_t digits = rest.find_first_not_of("0123456789");
    if (digits == 0 || digits > 3 || rest[digits] != after) return false;
    rest.remove_prefix(digits + 1);
    return true;
  };
  rest.remove_prefix(rest.starts_with("4.") ? 2 : rest.size());
  const bool sound = takes_number('.') && takes_number(' ') && rest.find_first_not_of(' ') != rest.npos;
  return sound ? "" : "does not begin with an enhanced status code of class 4 and go on";
}

std::string absolute_file_fault(const std::string& path) {
  if (path.empty() || path.front() != '/') return "names no absolute path";
  return path.back() == '/' ? "names a directory" : "";
}

std::string socket_fault(const std::string& path) {
  const std::string fault = socket_path_fault(path);
  return fault.empty() ? fault : "names a socket that " + fault;
}

std::string collector_fault(const std::string& text) {
  const auto parsed = SocketAddress::parse(text);
  return parsed ? "" : "names a receiver that " + parsed.error();
}

std::string syslog_fault(const std::string& where) {
  if (where.empty()) return "";
  return where.front() == '/' ? socket_fault(where) : collector_fault(where);
}

std::string records_fault(const std::string& text) {
  using Judge = std::string (*)(const std::string&);
  static constexpr std::pair<std::string_view, Judge> kKinds[] = {{"file:", absolute_file_fault},
                                                                  {"unix-datagram:", socket_fault},
                                                                  {"syslog:", syslog_fault},
                                                                  {"ipfix:", collector_fault}};
  if (text.empty()) return "";
  for (const auto& [kind, judge] : kKinds) {
    if (text.starts_with(kind)) return judge(text.substr(kind.size()));
  }
  return "is of no kind that is known";
}

bool is_loopback(const IpAddress& address) {
  return address == IpAddress::parse("::1") || (address.is_v4() && address.bytes[12] == 127);
}

}  // namespace

TextRule records_rule() {
  return {
      "\"file:PATH\", \"unix-datagram:PATH\", \"syslog:\" with nothing, a PATH or ADDRESS:PORT behind it, or "
      "\"ipfix:ADDRESS:PORT\", paths being absolute; or \"\" for nowhere",
      records_fault};
}

TextRule name_rule() {
  return {"1 to 63 letters, digits, '.', '_' or '-', of which the first is a letter or digit", name_fault};
}

TextRule domain_rule() {
  return {"a domain name of letters, digits, '.', '_' and '-', or \"\"", [](const std::string& text) {
            if (text.empty()) return std::string();
            if (!made_of(text, "._-")) return std::string("has a character that domain names may not have");
            if (text.front() == '.' || text.find("..") != std::string::npos) return std::string("has an empty label");
            return too_long(text, kMaxDomainBytes);
          }};
}

TextRule node_rule() {
  return {"a name of letters, digits, '.', '_' or '-', or \"\"",
          [](const std::string& text) { return text.empty() ? std::string() : name_fault(text); }};
}

TextRule endpoint_rule() {
  return {"https:// or http://, a host and, if it is not 2379, a port: \"https://10.9.0.9:2379\"",
          [](const std::string& text) {
            const auto endpoint = Endpoint::parse(text);
            return endpoint ? std::string() : endpoint.error();
          }};
}

TextRule key_prefix_rule() {
  return {"\"/\" and names of letters, digits, '.', '_' and '-' with \"/\" between them", [](const std::string& text) {
            if (!text.starts_with('/')) return std::string("does not begin with \"/\"");
            if (text.ends_with('/') || text.find("//") != std::string::npos) return std::string("has an empty name");
            if (!made_of(text, "/._-")) return std::string("has a character that names may not have");
            return too_long(text, kMaxKeyPrefixBytes);
          }};
}

TextRule pool_rule() {
  return {"the name of a pool", [](const std::string& text) { return std::string(text.empty() ? "is empty" : ""); }};
}

TextRule check_rule() {
  return {"the name of a check, or \"\"", [](const std::string&) { return std::string(); }};
}

TextRule interface_rule() {
  return {"an interface name of 1 to 15 letters, digits, '.', '_' or '-'", interface_fault};
}

TextRule device_rule() {
  return {"a PCI address (\"0000:3b:00.0\") or a DPDK device string (\"net_af_xdp0,iface=eth1\")", device_fault};
}

TextRule mac_rule() {
  return {"the MAC address of one station (\"00:00:5e:00:01:19\")", mac_fault};
}

TextRule lcores_rule() {
  return {"cores and ranges of cores from 0 to 127, such as \"1\" or \"1,4-6\", none twice; or \"\"", lcores_fault};
}

TextRule directory_rule() {
  return {"an absolute path, or \"\" for the default", directory_fault};
}

TextRule store_rule() {
  return {"\"auto\", an absolute path, or \"\" for none",
          [](const std::string& text) { return text == "auto" ? std::string() : directory_fault(text); }};
}

TextRule socket_path_rule() {
  return {"an absolute path of at most 107 bytes", socket_path_fault};
}

TextRule listen_address_rule() {
  return {"ADDRESS:PORT with a numeric address (\"127.0.0.1:9125\", \"[::1]:9125\"), or \"\" for none",
          listen_address_fault};
}

TextRule pattern_rule() {
  return {"a regular expression of 1 to 512 bytes without back references and look-around", pattern_text_fault};
}

TextRule host_rule() {
  return {"a host name, or \"\"", host_fault};
}

TextRule keyword_rule() {
  return {"an EHLO keyword of letters, digits and '-', such as \"STARTTLS\"", keyword_fault};
}

TextRule group_rule() {
  return {"a group's name, or \"\"", group_fault};
}

TextRule file_rule() {
  return {"an absolute path, or \"\"", file_fault};
}

TextRule refusal_rule() {
  return {"an enhanced status code and words, such as \"4.3.2 try again later\", in at most 55 bytes of ASCII",
          refusal_fault};
}

std::string server_address_fault(const std::string& text) {
  const auto address = IpAddress::parse(text);
  return address && is_loopback(*address) ? "" : address_fault(text);
}

std::string address_fault(const std::string& text) {
  const auto address = IpAddress::parse(text);
  if (!address) return "is not an address";
  if (is_loopback(*address)) return "is a loopback address";
  const auto& bytes = address->bytes;
  if (address->is_v4()) {
    if (bytes[12] == 0) return "is in 0.0.0.0/8, which no host has";
    if (bytes[12] >= 240) return "is in 240.0.0.0/4, which no host has";
    return bytes[12] >= 224 ? "is a multicast address" : "";
  }
  if (*address == IpAddress{}) return "is the unspecified address";
  if (bytes[0] == 0xff) return "is a multicast address";
  if (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) return "is a link-local address, which means nothing off its link";
  return "";
}

}  // namespace sluice::config
