// SPDX-License-Identifier: Apache-2.0
//
// Answers that take long to make, made in turns, so that the loop goes on with all else in between: checks, verdicts,
// publications.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "controlplane/http/router.h"

namespace sluice::control {

/// Work in steps, one behind the other, each of so many rows. It may rest between any two rows.
class Steps {
 public:
  /// `work(row)` for each row from 0.
  void add(size_t rows, std::function<void(size_t)> work);

  /// Goes on until all is done, which is true then, or so much time is over.
  bool run(std::chrono::steady_clock::duration at_most);

 private:
  struct Step {
    size_t rows;
    std::function<void(size_t)> work;
  };
  std::vector<Step> steps_;
  size_t step_ = 0;
  size_t row_ = 0;
};

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
