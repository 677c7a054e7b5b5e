// SPDX-License-Identifier: Apache-2.0
//
// The `expect` and `reject` patterns: compiled once at load, matched with one scratch space per prober.
#pragma once

#include <hs/hs.h>

#include <expected>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::health {

/// A compiled pattern. Cheap to copy; copies share the database.
class Pattern {
 public:
  /// Cost: milliseconds. The error is Hyperscan's, in words.
  static std::expected<Pattern, std::string> compile(const std::string& expression);

  const hs_database_t* database() const { return database_.get(); }

 private:
  explicit Pattern(hs_database_t* database);

  std::shared_ptr<hs_database_t> database_;
};

/// Scratch space for any number of patterns, one match at a time. Not for use by two threads.
class Matcher {
 public:
  Matcher() = default;
  ~Matcher();
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;

  /// True if `pattern` occurs in `text`. Lines of `text` are parted by '\n'. Throws std::bad_alloc.
  bool matches(const Pattern& pattern, std::string_view text);

 private:
  hs_scratch_t* scratch_ = nullptr;
  std::string copy_;  // of the text, with room behind it
};

}  // namespace sluice::health
