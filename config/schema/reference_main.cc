// SPDX-License-Identifier: Apache-2.0
//
// Prints config/REFERENCE.md, see `update-reference` in meson.build; with --man, sluice.cfg(5).
#include <iostream>
#include <string_view>

#include "config/schema/reference.h"

int main(int argc, char** argv) {
  const bool man = argc == 2 && std::string_view(argv[1]) == "--man";
  if (argc > 1 && !man) return 2;
  man ? sluice::config::print_man_page(std::cout) : sluice::config::print_reference(std::cout);
  return std::cout.flush() ? 0 : 1;
}
