// SPDX-License-Identifier: Apache-2.0
//
// Long work of the loop, cut into rows, so that it can rest and the loop goes on with all else in between: checks,
// verdicts, publications.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

namespace sluice::control {

/// How long the loop is kept from all else by one turn of such work.
inline constexpr std::chrono::milliseconds kTurn{4};

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

}  // namespace sluice::control
