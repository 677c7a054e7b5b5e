// SPDX-License-Identifier: Apache-2.0
//
// What is said to etcd and what it answers, as its JSON gateway has it (etcd 3.4, api/v3 as grpc-gateway maps it): keys
// and values in base64, 64-bit numbers as strings, zeros left out. Pure.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::control::etcd {

std::string to_base64(std::string_view bytes);
/// Nothing if it is none: RFC 4648 section 4, with its padding.
std::optional<std::string> from_base64(std::string_view text);
/// The first key behind all that begin with `prefix`, which is not empty and does not end in 0xff.
std::string end_of(std::string prefix);

/// Each comes to the same if it is asked twice, but for a lease too many.
struct Request {
  std::string path;
  std::string body;
};

Request range_of(const std::string& prefix);
/// One key, as a listing of one or none.
Request get(const std::string& key);
Request put(const std::string& key, std::string_view value, int64_t lease);
Request grant(int64_t ttl_s);
Request keep_alive(int64_t lease);
/// A key that is to be another, or nothing, if it is what it was.
struct Swap {
  std::string key;
  int64_t revision = 0;              // of what it was; 0 = there was none
  std::optional<std::string> value;  // nothing: it is deleted
  int64_t lease = 0;                 // under which the value is put; 0 = none
};
/// All of them or none.
Request compare_and_swap(const std::vector<Swap>& swaps);
/// Never ends; what it says is for a WatchReader. `from`: the first revision to tell of.
Request watch(const std::string& prefix, int64_t from);

/// Of which cluster an answer is, and of when.
struct Position {
  uint64_t cluster = 0;
  int64_t revision = 0;

  friend bool operator==(const Position&, const Position&) = default;
};

struct Record {
  std::string key, value;
  int64_t lease = 0;
  int64_t revision = 0;  // at which it was put last

  friend bool operator==(const Record&, const Record&) = default;
};

struct Listing {
  Position at;
  std::vector<Record> records;  // by key
};

template <typename T>
using Answer = std::expected<T, std::string>;  // the error: what is wrong with it

Answer<Listing> listing_from(std::string_view text);
/// The lease.
Answer<int64_t> granted_from(std::string_view text);
/// Whether the lease is still there.
Answer<bool> kept_from(std::string_view text);
/// Whether all were what they had been.
Answer<bool> swapped_from(std::string_view text);

/// What an answer of another status than 200 says.
struct Refusal {
  std::string words;
  bool is_passing = false;  // another member, or the same later, may answer
};
Refusal refusal_from(unsigned status, std::string_view text);

struct WatchMessage {
  Position at;
  size_t events = 0;
  std::string end;  // why nothing more will come; "" = it goes on
};

/// Cuts the bytes of a watch into its messages.
class WatchReader {
 public:
  static constexpr size_t kMostBytes = 16UL << 20;  // of one message

  /// After an error it is of no use any more.
  Answer<std::vector<WatchMessage>> take(std::string_view bytes);

 private:
  std::string rest_;  // of a message whose end has not come
};

}  // namespace sluice::control::etcd
