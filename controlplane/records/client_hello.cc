// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/client_hello.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace sluice::control {

namespace {

using Bytes = std::span<const uint8_t>;

constexpr uint8_t kClientHello = 1;
constexpr size_t kHeaderBytes = 4, kRandomBytes = 32;
constexpr size_t kMostNameBytes = 253;  // of a host name (RFC 1035 section 2.3.4)
constexpr uint16_t kServerName = 0, kSignatureAlgorithms = 13, kAlpn = 16, kSupportedVersions = 43;

/// Reads what is there; from the first that is not, everything is empty and ok() is false.
class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }
  Bytes bytes(size_t n) {
    ok_ = ok_ && n <= rest_.size();
    if (!ok_) rest_ = {};
    const Bytes out = rest_.first(ok_ ? n : 0);
    rest_ = rest_.subspan(out.size());
    return out;
  }
  /// `width`: bytes, at most 4.
  uint32_t number(size_t width) {
    uint32_t out = 0;
    for (const uint8_t byte : bytes(width)) out = out << 8 | byte;
    return out;
  }
  uint16_t number16() { return static_cast<uint16_t>(number(2)); }
  /// What stands behind its length, which takes `width` bytes.
  Bytes vector(size_t width) { return bytes(number(width)); }

 private:
  Bytes rest_;
  bool ok_ = true;
};

bool is_grease(uint16_t value) {
  return (value & 0x0f0f) == 0x0a0a && value >> 8 == (value & 0xff);
}

/// False: an odd number of bytes.
bool read_numbers(Bytes from, std::vector<uint16_t>& out) {
  Reader reader(from);
  while (!reader.at_end()) {
    const uint16_t value = reader.number16();
    if (reader.ok() && !is_grease(value)) out.push_back(value);
  }
  return reader.ok();
}

bool is_host_byte(uint8_t c) {
  return std::isalnum(c) != 0 ? c < 0x80 : c == '-' || c == '.' || c == '_';
}

/// RFC 6066 section 3: a list, of which only host names were ever defined.
bool read_server_name(Reader extension, ClientHello& out) {
  Reader list(extension.vector(2));
  out.names_server = true;
  if (list.at_end()) return extension.ok();
  const bool host = list.number(1) == 0;
  const Bytes name = list.vector(2);
  const bool good = host && name.size() <= kMostNameBytes && std::ranges::all_of(name, is_host_byte);
  if (good) {
    for (const uint8_t c : name) out.server_name.push_back(static_cast<char>(std::tolower(c)));
  }
  return list.ok();
}

/// RFC 7301 section 3.1.
bool read_alpn(Reader extension, ClientHello& out) {
  Reader list(extension.vector(2));
  const Bytes first = list.vector(1);
  out.alpn.assign(first.begin(), first.end());
  return list.ok();
}

bool read_versions(Reader extension, ClientHello& out) {
  std::vector<uint16_t> offered;
  if (!read_numbers(extension.vector(1), offered)) return false;
  if (!offered.empty()) out.version = *std::ranges::max_element(offered);
  return extension.ok();
}

bool read_extension(uint16_t type, Bytes body, ClientHello& out) {
  Reader extension(body);
  switch (type) {
    case kServerName:
      return read_server_name(extension, out);
    case kAlpn:
      return read_alpn(extension, out);
    case kSupportedVersions:
      return read_versions(extension, out);
    case kSignatureAlgorithms:
      return read_numbers(extension.vector(2), out.signature_algorithms) && extension.ok();
    default:
      return true;
  }
}

}  // namespace

HelloLength hello_length(std::span<const uint8_t> begin) {
  if (begin.empty()) return {};
  if (begin.front() != kClientHello) return {.is_hello = false, .bytes = {}};
  if (begin.size() < kHeaderBytes) return {};
  return {.is_hello = true, .bytes = kHeaderBytes + Reader(begin.subspan(1)).number(3)};
}

std::optional<ClientHello> read_client_hello(std::span<const uint8_t> message) {
  ClientHello out;
  Reader reader(message);
  const bool is_hello = reader.number(1) == kClientHello && reader.number(3) == message.size() - kHeaderBytes;
  out.version = reader.number16();
  reader.bytes(kRandomBytes);
  reader.vector(1);  // the session that it would resume
  const bool even = read_numbers(reader.vector(2), out.ciphers);
  reader.vector(1);  // compression
  if (!is_hello || !even || !reader.ok()) return std::nullopt;
  if (reader.at_end()) return out;  // before RFC 4366 there was nothing more
  Reader extensions(reader.vector(2));
  while (!extensions.at_end()) {
    const uint16_t type = extensions.number16();
    const Bytes body = extensions.vector(2);
    if (!extensions.ok()) return std::nullopt;
    const bool again = std::ranges::find(out.extensions, type) != out.extensions.end();
    if (again || !read_extension(type, body, out)) return std::nullopt;
    if (!is_grease(type)) out.extensions.push_back(type);
  }
  if (!reader.ok() || !reader.at_end()) return std::nullopt;
  return out;
}

std::string version_text(uint16_t version) {
  switch (version) {
    case 0x0304:
      return "1.3";
    case 0x0303:
      return "1.2";
    case 0x0302:
      return "1.1";
    case 0x0301:
      return "1.0";
    case 0x0300:
      return "ssl3";
    default:
      return fmt::format("0x{:04x}", version);
  }
}

}  // namespace sluice::control
