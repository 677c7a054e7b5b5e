// SPDX-License-Identifier: Apache-2.0
//
// The files we ship: right, and safe to cut anywhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "config/check_command.h"
#include "config/load.h"
#include "config/reference.h"
#include "tests/config/file.h"

namespace sluice::config {
namespace {

const std::filesystem::path kRoot = SLUICE_SOURCE_ROOT;

std::vector<std::filesystem::path> examples() {
  std::vector<std::filesystem::path> out;
  for (const auto& entry : std::filesystem::directory_iterator(kRoot / "config/examples"))
    if (entry.path().extension() == ".cfg") out.push_back(entry.path());
  std::ranges::sort(out);
  return out;
}

TEST(Examples, LoadWithoutFault) {
  ASSERT_GE(examples().size(), 3U);
  for (const auto& path : examples()) {
    std::ostringstream out;
    EXPECT_EQ(check_command(path, out), 0) << out.str();
    EXPECT_TRUE(out.str().starts_with(path.string() + ": ok: ")) << out.str();
  }
}

TEST(Reference, IsUpToDate) {
  std::ostringstream out;
  print_reference(out);
  EXPECT_EQ(read_file(kRoot / "config/REFERENCE.md"), out.str()) << "run: ninja -C build update-reference";
}

}  // namespace
}  // namespace sluice::config
