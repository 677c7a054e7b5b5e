// SPDX-License-Identifier: Apache-2.0
#include "controlplane/http/access.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "controlplane/base/descriptor.h"

namespace sluice::control {

namespace http = boost::beast::http;

namespace {

constexpr mode_t kForbiddenModes = S_IWGRP | S_IRWXO;

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// "name:port", "[v6]:port" without the port, lower-case and without the brackets and a last dot.
std::string host_alone(std::string_view host) {
  if (host.starts_with('[')) return lower(host.substr(1, host.find(']') - 1));
  host = host.substr(0, host.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  return lower(host);
}

/// "Bearer TOKEN" -> "TOKEN"; "" for anything else.
std::string_view bearer_of(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (authorization.size() < kScheme.size() || lower(authorization.substr(0, kScheme.size())) != kScheme) return "";
  authorization.remove_prefix(kScheme.size());
  while (authorization.starts_with(' ')) authorization.remove_prefix(1);
  return authorization;
}

std::array<uint8_t, 32> sha256(std::string_view text) {
  std::array<uint8_t, SHA256_DIGEST_LENGTH> out{};
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), out.data());
  return out;
}

bool is_token(std::string_view text) {
  return text.size() >= Token::kMinBytes && text.size() <= Token::kMaxBytes &&
         std::ranges::all_of(text, [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

std::optional<Token> token_in(const std::string& path, const std::string& setting) {
  if (path.empty()) return std::nullopt;
  auto token = Token::read(path);
  if (!token) throw std::runtime_error(setting + ": " + token.error());
  return *token;
}

}  // namespace

Token::Token(std::string_view secret) : digest_(sha256(secret)) {}

uint64_t Token::number() const {
  uint64_t out;
  std::memcpy(&out, digest_.data(), sizeof out);
  return out | 1;
}

bool Token::matches(std::string_view presented) const {
  const auto digest = sha256(presented);
  return CRYPTO_memcmp(digest.data(), digest_.data(), digest.size()) == 0;
}

std::expected<Token, std::string> Token::read(const std::string& path) {
  const auto fault = [&path](const std::string& what) { return std::unexpected(fmt::format("{}: {}", path, what)); };
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return fault(std::strerror(errno));
  struct stat info{};
  if (fstat(file.get(), &info) != 0) return fault(std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return fault("is not a file");
  if (info.st_uid != 0 && info.st_uid != geteuid()) return fault("belongs to another user");
  if ((info.st_mode & kForbiddenModes) != 0) {
    return fault(fmt::format("has mode {:04o}; allowed: what its owner may do, and reading for its group: 0600, 0640",
                             info.st_mode & 07777));
  }
  std::array<char, kMaxBytes + 2> text{};
  const ssize_t n = ::read(file.get(), text.data(), text.size());
  if (n < 0) return fault(std::strerror(errno));
  std::string_view token(text.data(), static_cast<size_t>(n));
  if (token.ends_with('\n')) token.remove_suffix(1);
  if (!is_token(token)) {
    return fault(fmt::format("holds no token; allowed: one line of {} to {} printable ASCII characters without blanks",
                             kMinBytes, kMaxBytes));
  }
  return Token(token);
}

AccessRules::AccessRules(std::vector<std::string> names, Tokens tokens) : names_(std::move(names)), tokens_(tokens) {
  std::ranges::transform(names_, names_.begin(), lower);
}

AccessRules AccessRules::of(const config::Control& control) {
  return {control.http_names,
          {.change = token_in(control.token_file, "control.token_file"),
           .read = token_in(control.read_token_file, "control.read_token_file")}};
}

bool AccessRules::knows_host(std::string_view host) const {
  const std::string alone = host_alone(host);
  return alone == "localhost" || config::IpAddress::parse(alone) || std::ranges::find(names_, alone) != names_.end();
}

std::expected<AccessRules::Granted, ApiResponse> AccessRules::judge(const Credentials& credentials) const {
  // Without a Host it is no browser that asks.
  if (!credentials.host.empty() && !knows_host(credentials.host)) {
    return std::unexpected(ApiResponse::error(
        http::status::misdirected_request, "not known by that name; use an address, or add it to control.http_names"));
  }
  if (credentials.authorization.empty()) return Granted{credentials.from_here || credentials.is_certified, false};
  const std::string_view presented = bearer_of(credentials.authorization);
  if (tokens_.change && tokens_.change->matches(presented)) return Granted{true, true};
  if (tokens_.read && tokens_.read->matches(presented)) return Granted{true, false};
  return std::unexpected(ApiResponse::error(http::status::unauthorized, "that token is not accepted"));
}

}  // namespace sluice::control
