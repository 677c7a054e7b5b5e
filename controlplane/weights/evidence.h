// SPDX-License-Identifier: Apache-2.0
//
// Whether a share (of connections that were refused, say) is worse than the peers', by evidence that adds up. Pure.
//
// The likelihood ratio. Let X of a member's N connections have gone badly, and Y of its peers' M. Whatever went on in
// the pool, if the member is like its peers each of these X + Y is its own with probability w = N / (N + M); if it is r
// times as bad, with rw / (1 + (r - 1) w) (Przyborowski and Wilenski, Biometrika 31, 1940). The logarithm of the
// likelihoods' ratio is X ln r - (X + Y) ln(1 + (r - 1) w). The pool's own share is not in it, so a wave of spam that
// all members refuse is no evidence against one. Above r' = (r - 1) / ln r times the peers' share it rises on average,
// below it falls: for r = 3 that is 1.8.
//
// Adding up. The sum never falls below 0, and convicts at a threshold h (Page, Biometrika 41, 1954): on average it
// takes more than e^h rounds until one that is like its peers is convicted (Wald, Ann. Math. Stat. 16, 1945; Lorden,
// Ann. Math. Stat. 42, 1971), and about h / (mean of a round) until one that is worse is. A second sum, of the opposite
// sign and with r = 2, acquits: what is between 1.4 and 1.8 times as bad as its peers stays what it was.
//
// Connections are not drawn one by one: a client that is refused comes again at once. So a round counts only as
// 1 / dispersion of its connections (Wedderburn, Biometrika 61, 1974), and for no more than 0.4 h. Nor are rounds quite
// independent, as Y and M are remembered for some of them: h is what simulated days ask for (perf/judge).
#pragma once

namespace sluice::control {

/// A part of a whole: connections, as far as they still count.
struct Share {
  double part = 0;
  double whole = 0;

  double value() const { return whole > 0 ? part / whole : 0; }
  void fade(double keep);
  Share& operator+=(const Share& other);
  Share operator+(const Share& other) const { return {part + other.part, whole + other.whole}; }
  Share operator-(const Share& other) const { return {part - other.part, whole - other.whole}; }

  /// The least that it is likely to be, so many standard deviations from what was seen, if `dispersion` connections go
  /// together (Wilson, JASA 22, 1927).
  double at_least(double deviations, double dispersion) const;
};

/// The logarithm of the ratio of likelihoods: that a member with the share `own` is `times` as bad as its peers, over
/// that it is like them. 0 where the member has seen nothing.
double worse_than_others(const Share& own, const Share& others, double times);

/// The same against a share that is set: above 0 if, and only if, `own` is beyond `bound`.
double worse_than_bound(const Share& own, double bound, double times);

/// How far what was seen in a round is from what was to be expected by what was seen before: the square, in variances
/// of what has the share `all`. About 1 on average where connections are drawn one by one; 0 where there is nothing to
/// go by.
double surprise(const Share& round, const Share& before, const Share& all);

/// The two sums of one figure of one member.
class Evidence {
 public:
  static constexpr double kConvict = 10;
  static constexpr double kAcquit = 3;
  // So that one burst, or two seconds of a busy machine, convict nobody.
  static constexpr double kMostOfARound = 0.4 * kConvict;

  /// A round: what it says for worse, what it says for well, and on how many connections that rests.
  void add(double worse, double well, const Share& round);
  void fade(double keep);

  bool convicts() const { return worse_ >= kConvict; }
  bool acquits() const { return well_ >= kAcquit; }
  bool is_suspect() const { return worse_ >= kMostOfARound; }
  /// The conviction is used up: the next one takes two more rounds at least.
  void spend_conviction();
  void spend_acquittal();

  /// What was seen since the first sum was 0; since the second was.
  const Share& charge() const { return charge_; }
  const Share& defence() const { return defence_; }

 private:
  double worse_ = 0;
  double well_ = 0;
  Share charge_;
  Share defence_;
};

}  // namespace sluice::control
