// SPDX-License-Identifier: Apache-2.0
//
// Answers that take long to make, made in turns, so that the loop goes on with all else in between: checks, verdicts,
// publications.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <functional>

#include "controlplane/base/steps.h"
#include "controlplane/http/router.h"

namespace sluice::control {

/// One answer in the making: when the steps are done, `finish` gives it away.
struct LongAnswer {
  Steps steps;
  std::function<ApiResponse()> finish;

  /// All of it, at once.
  ApiResponse whole() &&;
};

class Turns {
 public:
  /// What answers look at may be gone when it is their turn again: `composition()` is another number then, and they
  /// begin anew.
  Turns(boost::asio::any_io_executor executor, std::function<uint64_t()> composition);

  using Begin = std::function<LongAnswer()>;
  /// Returns at once. One that throws is answered with 500. What has to begin anew too often is made in one turn then.
  void answer(Begin begin, const Reply& reply) const;

 private:
  boost::asio::any_io_executor executor_;
  std::function<uint64_t()> composition_;
};

}  // namespace sluice::control
