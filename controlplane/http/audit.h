// SPDX-License-Identifier: Apache-2.0
//
// Who changed what over the API: an event for each change, and now and then one for tokens that were not accepted, as
// strangers may present any number of these.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "controlplane/base/journal.h"
#include "controlplane/base/times.h"

namespace sluice::control {

class Audit {
 public:
  static constexpr std::chrono::seconds kDenialsAtMostEvery{60};

  explicit Audit(Journal& journal) : journal_(journal) {}

  /// `what`: "POST /api/v1/backends/mta/mta1/drain". `status`: of the answer.
  void changed(const std::string& who, const std::string& what, unsigned status);
  /// Somebody has presented a token that is not accepted.
  void denied(const std::string& who);

 private:
  Journal& journal_;
  SystemTime told_;
  uint64_t untold_ = 0;  // denials since then
};

}  // namespace sluice::control
