// SPDX-License-Identifier: Apache-2.0
//
// Precompiled header: the standard library's and JSON.
#include <nlohmann/json.hpp>

#include "config/precompiled/standard.h"
