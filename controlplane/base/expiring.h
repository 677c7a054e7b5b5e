// SPDX-License-Identifier: Apache-2.0
//
// What is known for a time, by its key, and so much of it at most: of more, what would end first gives way. `Value` has
// a `SystemTime until`. Everything is O(log n) but erase_if(), so whoever fills it gains nothing by its being full. One
// thread.
#pragma once

#include <map>
#include <set>
#include <utility>

#include "controlplane/base/times.h"

namespace sluice::control {

template <typename Key, typename Value>
class Expiring {
 public:
  explicit Expiring(size_t most) : most_(most) {}

  const std::map<Key, Value>& entries() const { return entries_; }

  /// Null if it is not known.
  const Value* find(const Key& key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : &found->second;
  }

  void put(const Key& key, const Value& value) {
    if (const auto known = entries_.find(key); known != entries_.end()) {
      by_end_.erase({known->second.until, key});
    } else if (entries_.size() == most_) {
      entries_.erase(by_end_.begin()->second);
      by_end_.erase(by_end_.begin());
    }
    entries_.insert_or_assign(key, value);
    by_end_.emplace(value.until, key);
  }

  /// Forgets what has ended. Whether there was any.
  bool expire(SystemTime now) {
    bool any = false;
    for (; !by_end_.empty() && by_end_.begin()->first <= now; any = true) {
      entries_.erase(by_end_.begin()->second);
      by_end_.erase(by_end_.begin());
    }
    return any;
  }

  /// Forgets what is meant by `is_meant(key, value)`. Whether there was any.
  template <typename Meant>
  bool erase_if(Meant is_meant) {
    return std::erase_if(entries_, [&](const auto& entry) {
             if (!is_meant(entry.first, entry.second)) return false;
             by_end_.erase({entry.second.until, entry.first});
             return true;
           }) != 0;
  }

 private:
  size_t most_;
  std::map<Key, Value> entries_;
  std::set<std::pair<SystemTime, Key>> by_end_;
};

}  // namespace sluice::control
