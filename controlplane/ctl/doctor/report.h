// SPDX-License-Identifier: Apache-2.0
//
// What the doctor found, line by line.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controlplane/ctl/doctor/remedy.h"

namespace sluice::ctl {

enum class Grade : uint8_t { kOk, kWarn, kFail };

struct Finding {
  Grade grade = Grade::kOk;
  std::string topic;   // "huge pages"
  std::string found;   // "4096 MiB are free, 2048 MiB are needed"
  std::string advice;  // what to do; "" for what is well
  Remedies remedies;   // what does it, all together, if a file can; of what is well, what keeps it so
};

class Report {
 public:
  void ok(std::string topic, std::string found, Remedies remedies = {}) {
    add(Grade::kOk, std::move(topic), std::move(found), "", std::move(remedies));
  }
  /// Works, or may work, and not as it should.
  void warn(std::string topic, std::string found, std::string advice, Remedies remedies = {}) {
    add(Grade::kWarn, std::move(topic), std::move(found), std::move(advice), std::move(remedies));
  }
  /// Keeps mail from flowing, or the programs from starting.
  void fail(std::string topic, std::string found, std::string advice, Remedies remedies = {}) {
    add(Grade::kFail, std::move(topic), std::move(found), std::move(advice), std::move(remedies));
  }

  const std::vector<Finding>& findings() const { return findings_; }
  size_t count(Grade grade) const { return static_cast<size_t>(std::ranges::count(findings_, grade, &Finding::grade)); }

 private:
  void add(Grade grade, std::string topic, std::string found, std::string advice, Remedies remedies) {
    findings_.push_back({grade, std::move(topic), std::move(found), std::move(advice), std::move(remedies)});
  }

  std::vector<Finding> findings_;
};

}  // namespace sluice::ctl
