// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/weight.h"

namespace sluice::control {

double effective_weight(const WeightFactors& factors) {
  return factors.by_hand.value_or(factors.configured) * factors.warm_up * factors.slow_start * factors.health *
         factors.passive * factors.agent * factors.tier * factors.zone * factors.admin * factors.reachable;
}

}  // namespace sluice::control
