// SPDX-License-Identifier: Apache-2.0
//
// The model's members and services as workers are to know them, and weights as they take them. Pure.
#pragma once

#include <cstdint>

#include "controlplane/model/desired.h"
#include "controlplane/model/model.h"

namespace sluice::control {

/// An effective weight as tables take it. What is above 0 stays above 0.
uint32_t table_weight(double effective);

/// An effective weight as workers take it.
uint16_t message_weight(double effective);

DesiredBackend desired_backend(const Member& member);
DesiredService desired_service(const ServiceState& state, const Placement& placement);

}  // namespace sluice::control
