// SPDX-License-Identifier: Apache-2.0
//
// ClientHellos of sessions that have not ended yet: put together from the pieces that workers hand on, read, and kept
// until the session's record comes. What is kept is bounded, and the oldest goes first: a flood of hellos costs others
// their names in records, and nothing else. Runs on the event loop.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "controlplane/records/client_hello.h"
#include "dataplane/contract/session.h"

namespace sluice::control {

/// One session, as pieces and records name it.
struct HelloKey {
  Endpoint client;
  uint32_t begun_ms = 0;
  uint32_t worker = 0;

  bool operator==(const HelloKey& other) const {
    return client.address == other.client.address && client.port.raw == other.client.port.raw &&
           begun_ms == other.begun_ms && worker == other.worker;
  }
};

struct HelloKeyHash {
  size_t operator()(const HelloKey& key) const;
};

/// So many values by their keys; who comes when it is full displaces the oldest.
template <typename T>
class OldestOut {
 public:
  explicit OldestOut(size_t most) : most_(most) {}

  size_t size() const { return by_key_.size(); }
  /// Null if there is none.
  T* find(const HelloKey& key) {
    const auto found = by_key_.find(key);
    return found == by_key_.end() ? nullptr : &found->second->second;
  }
  std::optional<T> take(const HelloKey& key) {
    const auto found = by_key_.find(key);
    if (found == by_key_.end()) return std::nullopt;
    std::optional<T> out = std::move(found->second->second);
    entries_.erase(found->second);
    by_key_.erase(found);
    return out;
  }
  /// In place of what that key had. Returns whether another was displaced.
  bool put(const HelloKey& key, T value) {
    take(key);
    const bool full = by_key_.size() == most_;
    if (full) take(HelloKey(entries_.front().first));
    entries_.emplace_back(key, std::move(value));
    by_key_.emplace(key, std::prev(entries_.end()));
    return full;
  }

 private:
  using Entries = std::list<std::pair<HelloKey, T>>;  // oldest first

  size_t most_;
  Entries entries_;
  std::unordered_map<HelloKey, typename Entries::iterator, HelloKeyHash> by_key_;
};

class Hellos {
 public:
  static constexpr size_t kMostKept = 1U << 17;    // of some 400 bytes
  static constexpr size_t kMostUnfinished = 1024;  // of at most some 4 KiB

  explicit Hellos(size_t most_kept = kMostKept, size_t most_unfinished = kMostUnfinished)
      : unfinished_(most_unfinished), kept_(most_kept) {}

  void take(uint32_t worker, const channel::HelloPiece& piece);
  /// That of a session that has ended, which is forgotten here; null if none is known.
  std::shared_ptr<const ClientHello> of(uint32_t worker, const channel::SessionRecord& record);

  /// Since the start.
  struct Figures {
    uint64_t read = 0;
    uint64_t unreadable = 0;  // not well-formed, or of more than one TLS record
    uint64_t forgotten = 0;   // displaced by others before their session ended
  };
  const Figures& figures() const { return figures_; }

 private:
  void finish(const HelloKey& key, std::span<const uint8_t> message);

  OldestOut<std::vector<uint8_t>> unfinished_;
  OldestOut<std::shared_ptr<const ClientHello>> kept_;
  Figures figures_;
};

}  // namespace sluice::control
