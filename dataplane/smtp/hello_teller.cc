// SPDX-License-Identifier: Apache-2.0
#include "dataplane/smtp/hello_teller.h"

#include <rte_ring_peek_zc.h>

#include <algorithm>
#include <cstring>

namespace sluice {

using channel::HelloPiece;

void HelloTeller::tell(const Flow& flow, uint32_t begun_ms, HelloProgress& hello,
                       std::span<const uint8_t> content) noexcept {
  while (!content.empty() && hello.open) {
    const size_t n = std::min<size_t>({content.size(), HelloPiece::kBytes, kMostBytes - hello.told});
    if (n == 0 || hello.pieces == kMostPieces) {
      hello.open = false;  // too long, or cut too small
    } else if (!put(flow, begun_ms, hello.told, content.first(n))) {
      hello.open = false;
      stats_.counters[static_cast<size_t>(channel::Counter::kTlsHellosLost)]++;
    } else {
      hello.told = static_cast<uint16_t>(hello.told + n);
      hello.pieces++;
      content = content.subspan(n);
    }
  }
}

bool HelloTeller::put(const Flow& flow, uint32_t begun_ms, uint16_t at, std::span<const uint8_t> content) noexcept {
  rte_ring_zc_data room;
  if (pieces_ == nullptr || rte_ring_enqueue_zc_bulk_elem_start(pieces_, sizeof(HelloPiece), 1, &room, nullptr) == 0) {
    return false;
  }
  auto& piece = *static_cast<HelloPiece*>(room.ptr1);
  piece.client = flow.client_endpoint();
  piece.at = at;
  piece.begun_ms = begun_ms;
  piece.bytes = static_cast<uint16_t>(content.size());
  piece.reserved = 0;
  std::memcpy(piece.content, content.data(), content.size());
  rte_ring_enqueue_zc_elem_finish(pieces_, 1);
  return true;
}

}  // namespace sluice
