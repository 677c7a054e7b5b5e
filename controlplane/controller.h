// SPDX-License-Identifier: Apache-2.0
//
// Control's parts together: facts from the checks and from the kernel go into the model, what follows from them goes to
// the data plane. Everything runs on one io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/model.h"
#include "controlplane/api.h"
#include "controlplane/channel_client.h"
#include "controlplane/flow_lister.h"
#include "controlplane/http_server.h"
#include "controlplane/journal.h"
#include "controlplane/journal_file.h"
#include "controlplane/local_addresses.h"
#include "controlplane/model.h"
#include "controlplane/neighbors.h"
#include "controlplane/overrides.h"
#include "controlplane/reload_plan.h"
#include "controlplane/router.h"
#include "controlplane/sampler.h"
#include "controlplane/steering.h"
#include "controlplane/tap_sessions.h"
#include "healthcheck/prober.h"

namespace sluice::control {

/// A check's health as the model has it.
Health to_ours(health::Health health);

class Controller {
 public:
  /// `path` is where `config` came from, and where `reload()` looks again. Throws std::system_error if the kernel gives
  /// no netlink socket, std::runtime_error if the token cannot be read.
  Controller(boost::asio::io_context& io, config::Config config, std::string path);

  /// Begins to serve, to check and to connect. Throws std::system_error (an address that cannot be listened on), and
  /// std::runtime_error (a check that cannot be run).
  void start();
  void stop();
  /// After stop(): whether probes are still to say QUIT, which takes the loop to run on.
  bool says_farewell() const { return prober_.says_farewell(); }

  /// Reads the file again and goes over to it, all at once; the error is all that is wrong with it, and then nothing
  /// has changed. What needs a restart of a process stays as it is (ReloadPlan says what).
  Reloaded reload();
  /// What a reload with `wanted` would change.
  Reloaded compare(const LoadedConfig& wanted) const;

  const Model& model() const { return model_; }
  const ChannelClient& channel() const { return channel_; }

 private:
  using Clock = std::chrono::steady_clock;

  static std::vector<health::Target> targets_of(const config::Config& config, const Model& model);
  void keep_journal();
  void start_checks();
  void index_members();
  std::vector<config::IpAddress> addresses() const;
  Reloaded refuse(std::vector<std::string> faults);
  void adopt(config::Config config, Model model);
  void take_verdicts();
  FlowCounts flow_counts() const;
  void tick();
  void on_health(const std::string& key, const health::Change& change);
  void on_probed(const std::string& key, const health::Verdict& verdict);
  void on_reachability(const config::IpAddress& address, const Reachability& reachability);
  void on_local_addresses(const std::vector<LocalAddress>& addresses);
  void on_connected(uint32_t workers);
  void on_disconnected(const std::string& reason);
  /// `cause`: when it became known.
  void something_changed(Clock::time_point cause = Clock::now());
  void refresh();
  bool may_publish() const;
  void wait_for_step();
  void begin_hold();
  void end_hold();

  boost::asio::io_context& io_;
  config::Config config_;
  ConfigurationState configuration_;
  Journal journal_;
  JournalFile journal_file_;
  Model model_;
  Router router_;
  HttpServer http_;
  Neighbors neighbors_;
  LocalAddresses local_addresses_;
  health::Prober prober_;
  ChannelClient channel_;
  Overrides overrides_;
  boost::asio::steady_timer tick_;
  Steering steering_;
  boost::asio::steady_timer step_;      // when the model has something to do by itself
  boost::asio::steady_timer patience_;  // how long to wait for the first verdicts before the first publication
  boost::asio::steady_timer hold_;
  // Probes and neighbours go through the data plane's twins. While it is away, and until checks have had time to
  // succeed again, bad news says nothing about a backend: it is held back, or a restart would cost every flow.
  bool holding_ = true;
  std::map<config::IpAddress, Reachability> held_;
  std::vector<LocalAddress> latest_addresses_;
  DataplaneState dataplane_;
  Sampler sampler_;
  FlowLister flows_;
  TapSessions taps_;
  ApiContext api_;
  bool out_of_patience_ = false;
  bool published_ = false;
  bool dataplane_is_blank_ = false;         // it knew no backend when we first connected
  std::optional<Clock::time_point> cause_;  // of the refresh that is due
  std::unordered_map<std::string, size_t> member_by_key_;
  std::map<config::IpAddress, std::vector<size_t>> members_by_address_;
};

}  // namespace sluice::control
