// SPDX-License-Identifier: Apache-2.0
//
// Prints config/REFERENCE.md; see `update-reference` in meson.build.
#include <iostream>

#include "config/reference.h"

int main() {
  sluice::config::print_reference(std::cout);
  return std::cout.flush() ? 0 : 1;
}
