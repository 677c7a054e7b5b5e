// SPDX-License-Identifier: Apache-2.0
//
// What the nodes of a fleet share by way of etcd, as this node sees it: backends that register themselves, and what
// each node says of itself. Nothing here is waited for: while etcd is away, or says what is not believed, what was told
// last stands.
#pragma once

#include <boost/asio/io_context.hpp>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/base/times.h"
#include "controlplane/fleet/block_board.h"
#include "controlplane/fleet/etcd_follower.h"
#include "controlplane/fleet/etcd_identity.h"
#include "controlplane/fleet/node_presence.h"
#include "controlplane/fleet/node_report.h"
#include "controlplane/fleet/registrations.h"
#include "controlplane/fleet/standing_fault.h"
#include "controlplane/fleet/wish_board.h"

namespace sluice::control {

class Fleet {
 public:
  struct Hooks {
    /// Told what backends say when it is another, or why that is not known.
    std::function<void(const std::expected<PoolDocuments, std::string>&)> on_backends;
    /// Told what is wished on all nodes when it is another.
    std::function<void(Wishes)> on_wishes;
    /// Likewise who is blocked on all nodes, at every hearing.
    std::function<void(FleetBlocksHeard)> on_blocks;
    /// What this node says of itself.
    std::function<NodeReport()> report;
  };
  using Done = std::expected<std::string, std::string>;  // a warning ("" normally), or why not
  using Told = std::function<void(std::string)>;

  /// `directory` is where the state is kept. The journal outlives this.
  Fleet(boost::asio::io_context& io, Journal& journal, const std::string& directory, Hooks hooks);

  void start(const config::Fleet& config);
  /// The configuration was reloaded.
  void follow(const config::Fleet& config);
  void stop();
  /// Changes what is wished on all nodes: all of it or nothing. There is an etcd. `done` is told why not, or "" when it
  /// holds here.
  void change(const std::vector<WishChange>& changes, Told done);
  /// Likewise who is blocked on all of them.
  void change(const BlockChange& change, Told done);
  /// What etcd says is to be believed, although it is another cluster than before, or was set back.
  Done accept();

  const std::optional<config::Etcd>& etcd() const { return etcd_; }
  /// What this node is called.
  const std::string& node() const { return node_; }
  /// By which this process is known among those of the same name.
  const std::string& instance() const { return instance_; }
  /// Whether the name is its own.
  const NameState& name() const { return name_; }
  /// Why etcd's answers are not used; "" = they are, or there is none yet.
  const std::string& fault() const { return fault_.words(); }
  /// Why etcd, which answers, does not take what this node writes; "" = it does, or was given nothing yet.
  const std::string& write_fault() const { return write_fault_.words(); }
  /// What the nodes said last, by name; those whose lease is over are not among them.
  const std::vector<NodeReport>& nodes() const { return reports_; }
  /// Of the last answer that was believed.
  const std::optional<etcd::Position>& position() const { return identity_.known(); }

 private:
  using Heard = EtcdFollower::Heard;
  using Asked = EtcdIdentity::Asked;

  void hear_of_name(const NameState& state);
  void hear_of_write(const std::string& fault);
  void hear_nodes(const Heard& listing);
  void hear_backends(const Heard& listing, const Asked& asked);
  void hear_wishes(const etcd::Listing& listing);
  void hear_blocks(const etcd::Listing& listing);
  /// Why a listing of the keys below PREFIX/`what`/ is not to be heard, by what it says of itself; "" = it is.
  const std::string& verdict_on(const std::string& what, const Heard& listing, const Asked& asked);
  /// Whether a listing that is believed is no older than the one of these keys that was heard last: answers to what was
  /// asked side by side come in any order. An older one is no fault, and is not to be heard.
  bool is_newest(const std::string& what, const etcd::Listing& listing);
  /// Of keys below PREFIX/`what`/.
  void tell_faults(const std::string& what, std::vector<std::string> faults);
  std::unique_ptr<EtcdFollower> follow_keys(const std::string& what, EtcdFollower::Told told);
  std::unique_ptr<EtcdFollower> follow_keys(const std::string& what, void (Fleet::*hear)(const etcd::Listing&));
  void make(const std::string& what, std::vector<FencedChange> changes, void (Fleet::*hear)(const etcd::Listing&),
            Told done);

  boost::asio::io_context& io_;
  Journal& journal_;
  Hooks hooks_;
  EtcdIdentity identity_;
  std::optional<config::Etcd> etcd_;
  std::string node_;
  std::string instance_;
  NameState name_;
  std::unique_ptr<EtcdFollower> backends_, nodes_, wishes_, blocks_;
  std::unique_ptr<NodePresence> presence_;
  std::vector<NodeReport> reports_;
  std::optional<std::vector<etcd::Record>> told_;  // last; nothing: or it was a fault
  std::map<std::string, std::string> verdicts_;    // on the last listings, by what the keys are of
  std::map<std::string, Asked> newest_;            // of each kind of keys, the listing that was heard last
  StandingFault fault_, backends_fault_;           // of any of them; of those of the backends
  StandingFault write_fault_;
  std::map<std::string, std::vector<std::string>> key_faults_;  // by what the keys are of
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace sluice::control
