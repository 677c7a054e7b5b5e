// SPDX-License-Identifier: Apache-2.0
//
// A fault that ends the start-up. Its text goes to the operator: what is wrong, and what to do.
#pragma once

#include <stdexcept>

namespace sluice {

struct SetupError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace sluice
