// SPDX-License-Identifier: Apache-2.0
//
// How much backends of other zones take: nothing while our own zone can carry everything, and what it cannot when it is
// short. What a zone can carry is told by its weights: it carries `headroom` times what it usually has. Pure.
#pragma once

namespace sluice::control {

/// Weights of the backends of one pool that may take traffic.
struct ZoneWeights {
  double own_meant = 0;   // of our zone, if every backend of it were well
  double own_usable = 0;  // of those that are
  double other_usable = 0;
};

/// Factor of the weights of other zones, 0 to 1: at 1, backends everywhere are loaded alike, and nobody more than that.
double other_zones_factor(const ZoneWeights& weights, double headroom);

}  // namespace sluice::control
