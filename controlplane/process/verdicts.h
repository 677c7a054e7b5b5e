// SPDX-License-Identifier: Apache-2.0
//
// Where facts become verdicts: what probes, the kernel's neighbours and the ports' links say goes through the rules of
// panic.h into the model. Knows when the way to a backend is interrupted at our end (the data plane away, a twin or a
// card's link down), and has everybody behind it probed anew when it is there again. Runs on the event loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "config/model.h"
#include "controlplane/model/model.h"
#include "controlplane/model/panic.h"
#include "healthcheck/prober.h"

namespace sluice::control {

/// Who says that a port is up or down.
enum class WaySource : uint8_t {
  kTwin,  // the kernel: the TAP twin's link and carrier
  kCard,  // the data plane: the card's link
};

class Verdicts {
 public:
  using Clock = std::chrono::steady_clock;

  struct Hooks {
    /// The model has heard news since `cause`; `matters`: the data plane has to hear of it.
    std::function<void(Clock::time_point cause, bool matters)> changed;
    /// No verdict is awaited any more.
    std::function<void()> calm;
    /// Whether the kernel has a route to an address that leaves by one of our ports.
    std::function<bool(const config::IpAddress&)> has_route;
    /// How many packets of a backend the data plane has passed on to clients; nothing where that is not known.
    std::function<std::optional<uint64_t>(const Member&)> packets_from;
  };

  Verdicts(boost::asio::io_context& io, Model& model, health::Prober& prober, Journal& journal, Hooks hooks);

  /// Goes by `config`, from which `model` was made. To be called again when both were replaced, and the prober's
  /// targets set; what is known of members that stay is kept.
  void follow(const config::Config& config);
  /// After the prober has its first targets.
  void start();
  void stop();
  /// What has come in is judged now. To be called before the model is replaced.
  void flush();

  /// The data plane: without it, probes and neighbours say nothing. `why` in words, if it is not there.
  void on_channel(bool connected, const std::string& why);
  /// The data plane knew backends with these keys before it knew us.
  void presume(const std::unordered_set<uint64_t>& keys);
  /// A port, by its name in the configuration, is up or down as `source` sees it; `why` in words: "twin slb0 is down".
  /// What nobody has spoken of is up.
  void on_way(const std::string& port, WaySource source, bool up, const std::string& why);
  void on_reachability(const config::IpAddress& address, const Reachability& reachability);

  /// Whether some verdict is still awaited after an interruption.
  bool is_awaiting() const { return awaiting_; }

 private:
  struct News {
    std::optional<Judgement::Found> found;
    std::optional<Reachability> next_hop;
  };
  /// What was applied to the model last.
  struct Applied {
    Standing standing = Standing::kGood;
    std::string why;
    bool interrupted = false;
  };

  void on_health(const std::string& key, const health::Change& change);
  void on_probed(const std::string& key, const health::Verdict& verdict);
  void on_heard(const std::string& key);
  void note_not_run(size_t member, const std::string& key, const health::Verdict& verdict);
  health::Evidence evidence_of(size_t member, const health::Verdict& verdict) const;
  void take_state(size_t member);
  std::vector<Panic::Group> groups() const;
  void listen_to_sessions(Clock::time_point now);
  std::string interruption_of(const Member& member) const;
  void review_interruptions();
  void something_new();
  void evaluate();
  bool apply_all();
  bool tell_panics();
  std::string end_of(const Panic::State& state, double share) const;
  void wait(Clock::duration delay);
  void tick();

  boost::asio::io_context& io_;
  Model& model_;
  health::Prober& prober_;
  Journal& journal_;
  Hooks hooks_;
  const config::Config* config_ = nullptr;
  Panic panic_;
  boost::asio::steady_timer soon_;  // an evaluation that was put off
  boost::asio::steady_timer tick_;  // while something fails, time alone changes what follows
  bool due_ = false;
  Clock::time_point cause_;
  Clock::time_point next_allowed_;
  bool awaiting_ = true;
  std::string channel_fault_ = "control has just started";
  std::map<std::pair<std::string, WaySource>, std::string> port_faults_;
  std::unordered_map<std::string, size_t> member_by_key_;
  std::map<config::IpAddress, std::vector<size_t>> members_by_address_;
  std::unordered_map<size_t, News> news_;
  std::unordered_map<size_t, uint64_t> packets_from_;  // of members whose probes nothing comes back of
  std::vector<Applied> applied_;
};

}  // namespace sluice::control
