// SPDX-License-Identifier: Apache-2.0
#include "controlplane/records/hellos.h"

#include <algorithm>

#include "dataplane/contract/placement.h"

namespace sluice::control {

size_t HelloKeyHash::operator()(const HelloKey& key) const {
  return hash_endpoint(key.client, uint64_t{key.worker} << 32 | key.begun_ms);
}

void Hellos::take(uint32_t worker, const channel::HelloPiece& piece) {
  const HelloKey key{piece.client, piece.begun_ms, worker};
  const std::span content(piece.content, std::min<size_t>(piece.bytes, channel::HelloPiece::kBytes));
  if (piece.at == 0) {
    kept_.take(key);
    figures_.forgotten += unfinished_.put(key, {content.begin(), content.end()}) ? 1 : 0;
  } else if (std::vector<uint8_t>* begun = unfinished_.find(key); begun != nullptr && begun->size() == piece.at) {
    begun->insert(begun->end(), content.begin(), content.end());
  } else {
    return;  // its beginning was lost
  }
  const std::vector<uint8_t>& so_far = *unfinished_.find(key);
  const HelloLength length = hello_length(so_far);
  if (length.is_hello && (!length.bytes || *length.bytes > so_far.size())) return;
  finish(key, std::span(so_far).first(length.is_hello ? *length.bytes : 0));
  unfinished_.take(key);
}

void Hellos::finish(const HelloKey& key, std::span<const uint8_t> message) {
  auto hello = read_client_hello(message);
  (hello ? figures_.read : figures_.unreadable)++;
  if (hello) figures_.forgotten += kept_.put(key, std::make_shared<const ClientHello>(std::move(*hello))) ? 1 : 0;
}

std::shared_ptr<const ClientHello> Hellos::of(uint32_t worker, const channel::SessionRecord& record) {
  const HelloKey key{record.client, record.notes.begun_ms, worker};
  unfinished_.take(key);
  return kept_.take(key).value_or(nullptr);
}

}  // namespace sluice::control
