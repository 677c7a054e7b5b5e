// SPDX-License-Identifier: Apache-2.0
//
// One endpoint under watch: probes it again and again, one connection at a time, and keeps its state. Any number of
// the prober's targets may share it. Owned by the prober; a coroutine keeps it alive until its last farewell is said.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "healthcheck/probe.h"
#include "healthcheck/rise_fall.h"

namespace sluice::health {

struct TargetState {
  Health health = Health::kUnknown;
  RiseFall::Time since;    // of `health`
  uint32_t successes = 0;  // in a row, ending with the last probe
  uint32_t failures = 0;   // in a row, ending with the last probe
  uint64_t probes = 0;     // since the target was added, those that could not be run included
  uint64_t passed = 0;     // of these: found a backend that can take mail
  uint64_t failed = 0;     // of these: found one that cannot
  uint32_t not_run = 0;    // in a row, ending with the last probe: could not be run
  std::string reason;      // describe() of the verdict that brought `health` about; "" while unknown
  std::optional<Verdict> last;
  RiseFall::Time last_at;
};

struct Change {
  Health from = Health::kUnknown;
  Health to = Health::kUnknown;
  Verdict verdict;     // the one that tipped it
  std::string reason;  // "dead at connect: connection refused (3 in a row)"
};

/// What a forced check found, with every line that was said.
struct CheckReport {
  Verdict verdict;
  Transcript transcript;
};

using OnReport = std::function<void(const CheckReport&)>;

/// Told about the results of a watch, once per target that shares it.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void on_change(const std::string& key, const Change& change) = 0;
  virtual void on_result(const std::string& key, const Verdict& verdict) = 0;
  /// The host has completed the handshake of a probe, whatever comes of it.
  virtual void on_heard(const std::string& key) = 0;
  /// A number in [0, 1).
  virtual double random() = 0;
};

class Watch : public std::enable_shared_from_this<Watch> {
 public:
  static constexpr size_t kMaxReports = 16;

  /// `listener` outlives the watch or its retire().
  Watch(const boost::asio::any_io_executor& executor, std::shared_ptr<const ProbeSettings> settings,
        Listener& listener);

  /// Starts probing after `delay`. Call once.
  void start(std::chrono::microseconds delay);
  /// Stops probing and telling. A probe that has a connection says its farewell first.
  void retire();
  /// New settings for the same endpoint, from the next probe on; the state stays. If its probes are to come more often,
  /// the next one begins within the new interval, those of many endpoints spread over it.
  void update(std::shared_ptr<const ProbeSettings> settings);
  void set_keys(std::vector<std::string> keys) { keys_ = std::move(keys); }
  /// Probes at once, or right after the probe under way, and reports when its farewell is said. False if kMaxReports
  /// wait for the next probe already.
  bool check_now(OnReport on_report);

  /// Probes after `delay` at the latest, or right after the probe under way.
  void hurry(std::chrono::microseconds delay);
  /// From now on results are told, and count for nothing: the way to the endpoint is interrupted.
  void suspend() { suspended_ = true; }
  /// The way is there again: counts from zero, by probes that begin from now on, the first of them after `delay`.
  void start_over(std::chrono::microseconds delay);

  TargetState state() const;
  bool is_probing() const { return !under_way_.expired(); }

 private:
  boost::asio::awaitable<void> run(std::chrono::microseconds delay);
  boost::asio::awaitable<void> sleep(std::chrono::microseconds delay);
  boost::asio::awaitable<void> probe();
  void take(Verdict verdict, uint64_t era);
  void tell(const Verdict& verdict, const Change* change);
  void abandon_reports();

  boost::asio::any_io_executor executor_;
  boost::asio::steady_timer timer_;
  std::shared_ptr<const ProbeSettings> settings_;
  Listener* listener_;  // null once retired
  std::vector<std::string> keys_;
  std::vector<OnReport> wanted_;  // reports to give after the next probe
  std::weak_ptr<Probe> under_way_;
  RiseFall rise_fall_;
  std::optional<std::chrono::steady_clock::time_point> hurried_;  // when the next probe is to begin at the latest
  bool suspended_ = false;
  uint64_t era_ = 0;  // of start_over()
  uint32_t not_run_ = 0;
  uint64_t probes_ = 0;
  uint64_t passed_ = 0;
  uint64_t failed_ = 0;
  std::string reason_;
  std::optional<Verdict> last_;
  RiseFall::Time last_at_;
};

}  // namespace sluice::health
