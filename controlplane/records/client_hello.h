// SPDX-License-Identifier: Apache-2.0
//
// What a client says of itself when it begins TLS: a ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2),
// read without trust. Values that are there to keep servers tolerant (GREASE, RFC 8701) are left out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace sluice::control {

struct ClientHello {
  std::string server_name;  // in lower case; "" = none, or none that could be a host's
  std::string alpn;         // the first protocol that it offers, as it came
  uint16_t version = 0;     // the highest that it offers
  bool names_server = false;
  std::vector<uint16_t> ciphers;  // these in the client's order
  std::vector<uint16_t> extensions;
  std::vector<uint16_t> signature_algorithms;

  bool operator==(const ClientHello&) const = default;
};

/// How long the message is whose first bytes these are, once that can be told; nothing if they are no ClientHello's.
struct HelloLength {
  bool is_hello = true;
  std::optional<size_t> bytes;
};
HelloLength hello_length(std::span<const uint8_t> begin);

/// `message`: a whole handshake message, as hello_length() says. Nothing if it is not well-formed.
std::optional<ClientHello> read_client_hello(std::span<const uint8_t> message);

/// "1.3", or in hexadecimal what we have no name for.
std::string version_text(uint16_t version);

}  // namespace sluice::control
