// SPDX-License-Identifier: Apache-2.0
#include "config/keepalived/import.h"
#include "tests/fuzz/imported.h"
#include "tests/fuzz/inputs.h"

namespace sluice::testing {

void play_keepalived(FuzzInput bytes) {
  expect_config_or_words(config::keepalived::import("keepalived.conf", text_of(bytes)));
}

}  // namespace sluice::testing
