// SPDX-License-Identifier: Apache-2.0
//
// A ClientHello as a worker hands it on.
#pragma once

#include <algorithm>
#include <cstring>
#include <string_view>
#include <vector>

#include "dataplane/contract/session.h"

namespace sluice::control {

inline Endpoint hello_client(uint16_t port) {
  return {Address::v4(Be32::of(0xc6336407)), Be16::of(port)};
}

/// `at_once`: bytes in a piece, at most HelloPiece::kBytes.
inline std::vector<channel::HelloPiece> hello_pieces(std::string_view content, uint16_t port, uint32_t begun_ms = 1000,
                                                     size_t at_once = channel::HelloPiece::kBytes) {
  std::vector<channel::HelloPiece> out;
  for (size_t at = 0; at < content.size(); at += at_once) {
    const std::string_view part = content.substr(at, at_once);
    channel::HelloPiece& piece = out.emplace_back();
    piece.client = hello_client(port);
    piece.begun_ms = begun_ms;
    piece.at = static_cast<uint16_t>(at);
    piece.bytes = static_cast<uint16_t>(part.size());
    std::memcpy(piece.content, part.data(), part.size());
  }
  return out;
}

}  // namespace sluice::control
