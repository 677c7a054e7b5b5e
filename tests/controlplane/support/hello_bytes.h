// SPDX-License-Identifier: Apache-2.0
//
// ClientHellos as clients write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::control {

inline std::string number16(size_t n) {
  return {static_cast<char>(n >> 8), static_cast<char>(n)};
}
/// `text` behind its length in `width` bytes.
inline std::string counted(size_t width, const std::string& text) {
  std::string out;
  for (size_t i = width; i > 0; i--) out.push_back(static_cast<char>(text.size() >> (i - 1) * 8));
  return out + text;
}
inline std::string numbers16(const std::vector<uint16_t>& values) {
  std::string out;
  for (const uint16_t value : values) out += number16(value);
  return out;
}

/// A hello that tests change, and then write.
struct HelloBytes {
  uint16_t version = 0x0303;
  std::vector<uint16_t> ciphers{0x1301, 0xc02f};
  std::vector<std::pair<uint16_t, std::string>> extensions;

  HelloBytes& with(uint16_t type, const std::string& body = "") {
    extensions.emplace_back(type, body);
    return *this;
  }
  HelloBytes& server_name(const std::string& name, char type = 0) {
    return with(0, counted(2, std::string(1, type) + counted(2, name)));
  }
  HelloBytes& alpn(const std::string& protocol) { return with(16, counted(2, counted(1, protocol))); }
  HelloBytes& versions(const std::vector<uint16_t>& offered) { return with(43, counted(1, numbers16(offered))); }
  HelloBytes& signatures(const std::vector<uint16_t>& algorithms) {
    return with(13, counted(2, numbers16(algorithms)));
  }

  /// The handshake message. Without extensions the field for them is not there either.
  std::string message() const {
    std::string body = number16(version) + std::string(32, '\x5a') + counted(1, std::string(32, '\x11')) +
                       counted(2, numbers16(ciphers)) + counted(1, std::string(1, '\0'));
    std::string all;
    for (const auto& [type, content] : extensions) all += number16(type) + counted(2, content);
    if (!extensions.empty()) body += counted(2, all);
    return "\x01" + counted(3, body);
  }
};

/// The browser of the example in FoxIO's definition of JA4, with its GREASE.
inline HelloBytes browsers_hello(const std::string& name = "mx.example.net") {
  HelloBytes out;
  out.ciphers = {0x4a4a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030,
                 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c, 0x009d, 0x002f, 0x0035};
  out.with(0x9a9a).server_name(name).with(0x0017).with(0xff01).with(0x000a).with(0x000b).with(0x0023).alpn("h2");
  out.with(0x0005).signatures({0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601}).with(0x0012);
  return out.with(0x0033).with(0x002d).versions({0xfafa, 0x0304, 0x0303}).with(0x001b).with(0x4469).with(0x0015);
}

}  // namespace sluice::control
