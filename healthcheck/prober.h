// SPDX-License-Identifier: Apache-2.0
//
// Probes a set of targets, each at its check's interval, and tells what it finds. Everything runs on the thread of the
// executor it is given, callbacks included; call it from there only. A target is `unknown` until its first probe has
// succeeded (then up) or `fall` probes in a row have failed (then down).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "config/model.h"
#include "healthcheck/watch.h"

namespace sluice::health {

/// What to probe. `port` is the probe's own: the caller has applied the check's `port` if it has one.
struct Target {
  std::string key;  // the caller's name for it, unique in a set
  config::IpAddress address;
  uint16_t port = 0;
  config::Check check;
  std::string certificate_name;  // instead of the check's server_name; "" = that
};

struct ProberOptions {
  std::function<double()> random;  // in [0, 1); default: a generator of its own, seeded by the system
  std::function<std::chrono::system_clock::time_point()> wall_clock;  // default: the system's
};

class Prober final : private Listener {
 public:
  using OnChange = std::function<void(const std::string& key, const Change& change)>;
  using OnResult = std::function<void(const std::string& key, const Verdict& verdict)>;
  using OnHeard = std::function<void(const std::string& key)>;

  explicit Prober(boost::asio::any_io_executor executor, ProberOptions options = {});
  /// Nothing is told any more. Probes under way say their farewell while the executor's context runs on.
  ~Prober() override;
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  /// Called when a target's health changes, after the on_result of the same probe.
  void set_on_change(OnChange on_change) { tell_change_ = std::move(on_change); }
  /// Called for every probe, as soon as its verdict stands.
  void set_on_result(OnResult on_result) { tell_result_ = std::move(on_result); }

  /// Called when a target has completed the handshake of a probe.
  void set_on_heard(OnHeard on_heard) { tell_heard_ = std::move(on_heard); }

  /// Probes `key` at once, or right after its probe under way. What is unknown is passed over, here and below.
  void hurry(const std::string& key);
  /// The way to `key` is interrupted: its probes go on and are told, and count for nothing.
  void suspend(const std::string& key);
  /// The way to `key` is there again: only probes that begin from now on count, from zero, at the fast interval until
  /// they have confirmed or changed its health.
  void start_over(const std::string& key);

  /// Replaces the targets. Targets with the same address, port, check (by name) and certificate name share one
  /// connection at a time and one state. What was probed before and still is keeps its state, also under another key
  /// or with other settings of its check; no change is told for it: ask state(). On an error (a pattern, a CA file, a
  /// key given twice) nothing is changed. Compiles patterns and reads CA files: milliseconds; for start-up and reload.
  std::expected<void, std::string> set_targets(const std::vector<Target>& targets);

  /// Probes `key` now, or right after its probe under way. It counts like any other probe. `on_report` is called when
  /// the farewell is said, within the check's timeouts. The error is an unknown key, or that too many wait for this
  /// probe.
  std::expected<void, std::string> check_now(const std::string& key, OnReport on_report);

  /// Nothing for an unknown key.
  std::optional<TargetState> state(const std::string& key) const;

  /// Whether probes of what is no longer a target are still under way.
  bool says_farewell() const;

  /// How many endpoints are probed: at most the number of targets, less where targets share.
  size_t endpoint_count() const { return watches_.size(); }

 private:
  /// Address, port, name of the check, certificate name.
  using EndpointId = std::tuple<config::IpAddress, uint16_t, std::string, std::string>;
  struct Entry;
  using Entries = std::map<EndpointId, Entry>;

  std::expected<Entries, std::string> prepare_entries(const std::vector<Target>& targets) const;
  void commit(Entries entries);
  std::chrono::microseconds next_gap();

  void on_change(const std::string& key, const Change& change) override;
  void on_result(const std::string& key, const Verdict& verdict) override;
  void on_heard(const std::string& key) override;
  double random() override { return options_.random(); }

  boost::asio::any_io_executor executor_;
  ProberOptions options_;
  OnChange tell_change_;
  OnResult tell_result_;
  OnHeard tell_heard_;
  std::chrono::steady_clock::time_point free_from_;  // where many are to be probed at once, the next begins then
  std::shared_ptr<Matcher> matcher_;
  std::shared_ptr<IcmpRefusals> refusals_;
  std::map<EndpointId, std::shared_ptr<Watch>> watches_;
  std::unordered_map<std::string, std::shared_ptr<Watch>> by_key_;
  std::vector<std::weak_ptr<Watch>> retired_;
};

}  // namespace sluice::health
