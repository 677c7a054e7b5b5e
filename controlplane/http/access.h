// SPDX-License-Identifier: Apache-2.0
//
// Who may do what over TCP. From this host anyone may read, and from elsewhere who has shown a certificate; others need
// a token for that, and to change anything everybody needs the one for changes. A request that names another host than
// this one is refused: a browser that was led here by a foreign name (DNS rebinding) would let that name's pages read
// the answers.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.h"
#include "controlplane/http/router.h"

namespace sluice::control {

/// A secret, of which only the digest is kept.
class Token {
 public:
  static constexpr size_t kMinBytes = 16;
  static constexpr size_t kMaxBytes = 512;

  /// `secret`: kMinBytes to kMaxBytes.
  explicit Token(std::string_view secret);
  /// What nobody knows who does not know the secret; never 0.
  uint64_t number() const;
  /// Takes the same time whatever is presented.
  bool matches(std::string_view presented) const;

  /// Reads it from the file's only line. The error says what is wrong with the file: others may read or change it, or
  /// what it holds is no token.
  static std::expected<Token, std::string> read(const std::string& path);

 private:
  std::array<uint8_t, 32> digest_;  // SHA-256
};

/// What a request says of itself.
struct Credentials {
  std::string_view host;           // the header's value; "" = none
  std::string_view authorization;  // the header's value; "" = none
  bool from_here = false;          // the peer is on this host
  bool is_certified = false;       // it has shown a certificate that we believe
};

/// None of one kind: nobody may do that by a token.
struct Tokens {
  std::optional<Token> change;
  std::optional<Token> read;
};

class AccessRules {
 public:
  struct Granted {
    bool may_read = false;
    bool may_write = false;
  };

  AccessRules() = default;
  /// `names`: by which the server may be asked for, besides addresses and "localhost".
  AccessRules(std::vector<std::string> names, Tokens tokens);
  /// As the settings say. Throws std::runtime_error for a file without a token.
  static AccessRules of(const config::Control& control);

  /// What the request may do; or the answer to it.
  std::expected<Granted, ApiResponse> judge(const Credentials& credentials) const;

 private:
  bool knows_host(std::string_view host) const;

  std::vector<std::string> names_;  // lower-case
  Tokens tokens_;
};

}  // namespace sluice::control
