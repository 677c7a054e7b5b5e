// SPDX-License-Identifier: Apache-2.0
//
// Precompiled header: what control's files use most.
#include <spdlog/spdlog.h>

#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>
#include <nlohmann/json.hpp>

#include "healthcheck/precompiled/asio.h"
