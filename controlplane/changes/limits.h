// SPDX-License-Identifier: Apache-2.0
//
// sources.limits as the data plane is to know it. Pure.
#pragma once

#include "config/model.h"
#include "controlplane/model/desired.h"

namespace sluice::control {

DesiredLimits limits_of(const config::Config& config);

/// What of an address is one source to a rule: the length of its prefix, of 128 bits.
uint8_t source_bits(const config::Limit& limit, bool v4);
/// Whether a rule holds for a service.
bool holds_for(const config::Limit& limit, const std::string& service);
/// "200 connections, 50 a second (100 at once) of each /24 or /64: 421", for operators.
std::string in_words(const config::Limit& limit);

}  // namespace sluice::control
