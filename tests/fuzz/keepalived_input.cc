// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "config/keepalived/import.h"
#include "config/load.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {

void play_keepalived(FuzzInput bytes) {
  const auto imported = config::keepalived::import("keepalived.conf", text_of(bytes));
  EXPECT_NE(imported.text.empty(), imported.failure.empty());
  if (imported.text.empty()) return;
  const auto loaded = config::load_text("/nowhere/sluice.cfg", imported.text);
  EXPECT_TRUE(loaded.has_value()) << loaded.error().front().to_string() << "\n" << imported.text;
}

}  // namespace sluice::testing
