// SPDX-License-Identifier: Apache-2.0
//
// A fault that stands, and whose words may change with every try: it is news when it begins, when it ends, and now and
// then in between, so that no event a second comes of it. Pure.
#pragma once

#include <chrono>
#include <string>

#include "controlplane/base/times.h"

namespace sluice::control {

class StandingFault {
 public:
  static constexpr std::chrono::seconds kWordsStay{10};

  /// "" = there is none. Whether that is news.
  bool set(const std::string& words, SystemTime now) {
    const bool is_early = now >= since_ && now - since_ < kWordsStay;
    if (words == words_ || (!words_.empty() && !words.empty() && is_early)) return false;
    words_ = words;
    since_ = now;
    return true;
  }
  void clear() { words_.clear(); }

  const std::string& words() const { return words_; }

 private:
  std::string words_;
  SystemTime since_;
};

}  // namespace sluice::control
