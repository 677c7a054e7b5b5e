// SPDX-License-Identifier: Apache-2.0
#include "controlplane/weights/evidence.h"

#include <algorithm>
#include <cmath>

namespace sluice::control {

Share& Share::operator+=(const Share& other) {
  part += other.part;
  whole += other.whole;
  return *this;
}

void Share::fade(double keep) {
  part *= keep;
  whole *= keep;
}

double Share::at_least(double deviations, double dispersion) const {
  if (whole <= 0) return 0;
  const double n = whole / dispersion;
  const double z2 = deviations * deviations;
  const double p = std::min(1.0, value());
  return std::max(0.0, (p + z2 / (2 * n) - deviations * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n));
}

double worse_than_others(const Share& own, const Share& others, double times) {
  if (own.whole <= 0) return 0;
  const double own_part = own.whole / (own.whole + others.whole);
  return own.part * std::log(times) - (own.part + others.part) * std::log1p((times - 1) * own_part);
}

// With odds `times` as high as those of p: X ln r - N ln(1 + (r - 1) p). This p is the one that makes it 0 at the
// bound.
double worse_than_bound(const Share& own, double bound, double times) {
  return std::log(times) * (own.part - bound * own.whole);
}

double surprise(const Share& round, const Share& before, const Share& all) {
  if (round.whole <= 0 || before.whole <= 0) return 0;
  // Half a connection on either side, as nothing is impossible because it has not been seen yet.
  const double p = (all.part + 0.5) / (all.whole + 1);
  const double off = round.part - round.whole * before.value();
  return off * off / (round.whole * p * (1 - p) * (1 + round.whole / before.whole));
}

void Evidence::add(double worse, double well, const Share& round) {
  worse_ = std::clamp(worse_ + std::min(worse, kMostOfARound), 0.0, kConvict);
  well_ = std::clamp(well_ + well, 0.0, kAcquit);
  if (worse_ == 0)
    charge_ = {};
  else
    charge_ += round;
  if (well_ == 0)
    defence_ = {};
  else
    defence_ += round;
}

void Evidence::fade(double keep) {
  worse_ *= keep;
  well_ *= keep;
}

void Evidence::spend_conviction() {
  worse_ = kConvict - 2 * kMostOfARound;
  spend_acquittal();
}

void Evidence::spend_acquittal() {
  well_ = 0;
  defence_ = {};
}

}  // namespace sluice::control
