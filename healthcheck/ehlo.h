// SPDX-License-Identifier: Apache-2.0
//
// What a server offers in its reply to EHLO (RFC 5321 section 4.1.1.1).
#pragma once

#include <string>
#include <string_view>

#include "config/model.h"

namespace sluice::health {

/// The EHLO command with its CRLF. `helo` may be empty: then the address literal of `local` (RFC 5321 section 4.1.3).
std::string ehlo_command(const std::string& helo, const config::IpAddress& local);

/// True if the reply `text` (lines parted by '\n', codes included) offers `wanted`: a keyword, or a keyword with
/// parameters that it must list ("AUTH PLAIN"). Letter case does not matter. The first line is the server's name.
bool offers(std::string_view text, std::string_view wanted);

}  // namespace sluice::health
