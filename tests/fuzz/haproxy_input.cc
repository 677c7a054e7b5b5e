// SPDX-License-Identifier: Apache-2.0
#include "config/haproxy/import.h"
#include "tests/fuzz/imported.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {

void play_haproxy(FuzzInput bytes) {
  expect_config_or_words(config::haproxy::import("haproxy.cfg", text_of(bytes)));
}

}  // namespace sluice::testing
