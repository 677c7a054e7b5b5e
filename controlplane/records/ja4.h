// SPDX-License-Identifier: Apache-2.0
//
// A client's fingerprint by its ClientHello: JA4 as FoxIO defines it for TLS over TCP (github.com/FoxIO-LLC/ja4,
// technical_details/JA4.md; that part of JA4+ is under the BSD licence). Programs that use the same TLS library the
// same way have the same one, whatever they call themselves.
#pragma once

#include <string>

#include "controlplane/records/client_hello.h"

namespace sluice::control {

/// 36 bytes: "t13d1516h2_8daaf6152771_e5627efa2ab1". Cost: some microseconds.
std::string ja4(const ClientHello& hello);

}  // namespace sluice::control
