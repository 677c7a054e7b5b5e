// SPDX-License-Identifier: Apache-2.0
//
// Control's parts together: facts from the checks and from the kernel go into the model, what follows from them goes to
// the data plane. Everything runs on one io_context.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <expected>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "config/model.h"
#include "controlplane/announce/announcer.h"
#include "controlplane/api/api.h"
#include "controlplane/base/clock_watch.h"
#include "controlplane/base/journal.h"
#include "controlplane/base/journal_file.h"
#include "controlplane/changes/config_differences.h"
#include "controlplane/changes/overrides.h"
#include "controlplane/changes/reload_plan.h"
#include "controlplane/changes/sources.h"
#include "controlplane/changes/standing.h"
#include "controlplane/channel/client.h"
#include "controlplane/discovery/discovery.h"
#include "controlplane/figures/limit_watch.h"
#include "controlplane/figures/sampler.h"
#include "controlplane/figures/syn_watch.h"
#include "controlplane/fleet/fleet.h"
#include "controlplane/http/router.h"
#include "controlplane/http/server.h"
#include "controlplane/inspect/flow_lister.h"
#include "controlplane/inspect/inspection_sessions.h"
#include "controlplane/kernel/local_addresses.h"
#include "controlplane/kernel/neighbors.h"
#include "controlplane/model/model.h"
#include "controlplane/process/node_facts.h"
#include "controlplane/process/ports.h"
#include "controlplane/process/router_follower.h"
#include "controlplane/process/server_routing.h"
#include "controlplane/process/steering.h"
#include "controlplane/process/verdicts.h"
#include "controlplane/records/session_records.h"
#include "controlplane/records/source_tally.h"
#include "controlplane/security/mail_security.h"
#include "healthcheck/prober.h"

namespace sluice::control {

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
  /// To the log and to the events, but for those that were among the last ones told.
  void tell_warnings(const std::vector<config::Fault>& warnings);
  /// Opens the file of session records again, which somebody has moved away.
  void reopen_records() { records_.reopen(); }
  /// What a reload with `wanted` would change.
  Reloaded compare(const LoadedConfig& wanted) const;

  const Model& model() const { return model_; }
  const ChannelClient& channel() const { return channel_; }

 private:
  using Clock = std::chrono::steady_clock;

  static std::vector<health::Target> targets_of(const config::Config& config, const Model& model);
  void keep_journal();
  void start_checks();
  /// Goes on where an earlier process stood; and writes down where this one stands.
  void recall();
  void remember();
  std::string standing_path() const;
  /// After what was removed came or went.
  void members_have_changed();
  std::vector<config::IpAddress> addresses() const;
  /// Our configuration, with `wanted`'s of the data plane where the data plane already runs with them and not with
  /// ours.
  config::Config as_it_runs(const config::Config& wanted) const;
  /// To `whole`, which has its discovered backends; `findings` are those of its file.
  Reloaded plan_for(const config::Config& running, const config::Config& whole, const DiscoveredPools& discovered,
                    const config::Findings& findings) const;
  Reloaded refuse(std::vector<std::string> faults);
  /// From the file's members alone to those that are known beside them, before anything has begun.
  void begin_with_discovered();
  /// Other members were discovered, or added by hand. The answer is why they cannot be taken; "" = they are.
  std::string take_discovered(const DiscoveredPools& known);
  /// All at once, to what was found to be right. The error says why not, and then nothing has changed.
  std::expected<void, std::string> go_over(config::Config next);
  void adopt(config::Config config, Model model);
  FlowCounts flow_counts() const;
  std::optional<NodeDrain::Flows> node_flows() const;
  /// Why no packet to a VIP comes through; "" = they do; nothing: that is not known yet.
  std::optional<std::string> node_fault() const;
  void serve_api();
  void tick();
  /// Before anything is judged by its time, and before a deadline is made: those made earlier move along with a clock
  /// that was set, and none that was made by the clock as it is now.
  void follow_clock();
  void on_local_addresses(const std::vector<LocalAddress>& addresses);
  void on_connected(uint32_t workers);
  /// Of the first data plane that we meet: goes on with what it has and we know nothing of.
  void recognise();
  /// What `before` had, and the model that follows it has not, is meant to be gone: it is not recognised.
  void give_up(const Model& before);
  bool runs_our_dataplane(const std::vector<config::Port>& ports) const;
  void take_up_waiting_dataplane();
  void publish_anew();
  void on_disconnected(const std::string& reason);
  /// `cause`: when it became known.
  void something_changed(Clock::time_point cause = Clock::now());
  void refresh();
  void publish(Clock::time_point cause);
  bool may_publish() const;
  void wait_for_step();

  boost::asio::io_context& io_;
  config::Config config_;
  ConfigurationState configuration_;
  Journal journal_;
  ClockWatch clock_;
  JournalFile journal_file_;
  std::set<std::string> told_warnings_;
  const uint64_t placement_secret_;  // as long as the process runs
  Model model_;
  Router router_;
  Audit audit_{journal_};
  HttpServer http_;
  Neighbors neighbors_;
  LocalAddresses local_addresses_;
  health::Prober prober_;
  ChannelClient channel_;
  Overrides overrides_;
  Sources sources_;
  Discovery discovery_;
  FileDigests file_digests_;  // of what the configuration was read from last
  Fleet fleet_;
  LimitWatch limit_watch_;
  SynWatch syn_watch_;
  MailSecurity security_;
  Announcer announcer_;
  boost::asio::steady_timer tick_;
  Steering steering_;
  Ports ports_;
  RouterFollower router_follower_;
  ServerRouting server_routing_;
  // What the file last read says of the data plane and differs from what it runs with: taken up when it has restarted.
  std::optional<StartSettings> waiting_dataplane_;
  uint64_t dataplane_start_ms_ = 0;        // of the process that was connected last
  bool heard_of_dataplane_ = false;        // whether it is there
  bool has_met_ = false;                   // we have been connected to one
  std::unordered_set<uint64_t> given_up_;  // until then
  boost::asio::steady_timer step_;         // when the model has something to do by itself
  boost::asio::steady_timer patience_;     // how long to wait for the first verdicts before the first publication
  Verdicts verdicts_;
  std::optional<std::vector<LocalAddress>> latest_addresses_;  // nothing before they were read for the first time
  DataplaneState dataplane_;
  Sampler sampler_;
  FlowLister flows_;
  InspectionSessions inspections_;
  SourceTally tally_;
  SessionRecords records_;
  Turns turns_;
  ApiContext api_;
  bool out_of_patience_ = false;
  bool published_ = false;
  bool dataplane_is_blank_ = false;         // it knew no backend when we first connected
  std::optional<Clock::time_point> cause_;  // of the refresh that is due
};

}  // namespace sluice::control
