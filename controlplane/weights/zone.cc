// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/zone.h"

#include <algorithm>

namespace sluice::control {

double other_zones_factor(const ZoneWeights& weights, double headroom) {
  if (weights.own_usable <= 0 || weights.other_usable <= 0) return 1;  // nobody, or nobody else, to share with
  const double kept = std::min(1.0, headroom * weights.own_usable / std::max(weights.own_meant, weights.own_usable));
  if (kept >= 1) return 0;
  return std::min(1.0, (1 - kept) / kept * weights.own_usable / weights.other_usable);
}

}  // namespace sluice::control
