// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include "config/imports/imported.h"
#include "config/load.h"

namespace sluice::testing {

/// It is a configuration that we take; or it is said why there is none.
inline void expect_config_or_words(const config::imports::Imported& imported) {
  EXPECT_NE(imported.text.empty(), imported.failure.empty());
  if (imported.text.empty()) return;
  const auto loaded = config::load_text("/nowhere/sluice.cfg", imported.text);
  EXPECT_TRUE(loaded.has_value()) << loaded.error().front().to_string() << "\n" << imported.text;
}

}  // namespace sluice::testing
