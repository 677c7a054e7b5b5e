// SPDX-License-Identifier: Apache-2.0
//
// The members of pools that are not in the file: reads what `discover` names, a file when it is another, a name of the
// DNS when its time is over; hears what backends say of themselves; keeps what operators added by hand; and writes both
// down, for a start of control that finds no source. A source with a fault, or one that is gone, changes nothing. One
// thread; time is the journal's.
#pragma once

#include <boost/asio/io_context.hpp>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/base/journal.h"
#include "controlplane/base/times.h"
#include "controlplane/discovery/discovered_pool.h"
#include "controlplane/discovery/dns_watch.h"
#include "controlplane/fleet/registrations.h"

namespace sluice::control {

/// `config`, as the file has it or as this gave it, with the backends that are known beside its own. One whose name or
/// endpoint is in the file stays out: the file has the last word; then those by hand have.
config::Config complete(config::Config config, const DiscoveredPools& known);

/// Whether any are known beside those of the file.
bool adds_backends(const DiscoveredPools& known);

class Discovery {
 public:
  /// Goes over to another configuration than what pools() completes. The answer is why that cannot be; "" = it is done.
  using GoOver = std::function<std::string(const DiscoveredPools&)>;
  using Done = std::expected<std::string, std::string>;  // a warning ("" normally), or why not

  /// `directory` is where the state is kept. The journal outlives this.
  Discovery(boost::asio::io_context& io, Journal& journal, const std::string& directory, GoOver go_over);

  /// Reads what was kept, then the files. Nobody is asked to go over yet.
  void start(const std::vector<config::Pool>& pools);
  /// What would be known if the configuration had these pools: reads the files that are new.
  DiscoveredPools known_for(const std::vector<config::Pool>& pools) const;
  /// The configuration was reloaded, with this.
  void follow(DiscoveredPools known);
  /// To be called every second.
  void tick();
  /// What backends say of themselves in the fleet's store, or why that is not known.
  void hear_fleet(const std::expected<PoolDocuments, std::string>& told);

  /// Adds to a pool the backend that `json` describes, as in a document of discovered ones.
  Done add(const std::string& pool, const std::string& json);
  /// Takes back add().
  Done remove(const std::string& pool, const std::string& name);
  /// Believes the source that those which are missing have left.
  Done accept(const std::string& pool);

  const DiscoveredPools& pools() const { return pools_; }

 private:
  using Entry = DiscoveredPools::value_type;

  void restore();
  void watch_names();
  void look(const Entry& entry);
  /// What a source said, or why it said nothing.
  void hear(const std::string& name, const std::expected<PoolMembers, std::string>& members);
  void refuse(const std::string& name, const std::string& fault);
  void tell_missing(const std::string& name, const std::string& which) const;
  /// Puts `next` in the place of what is known of a pool, or says why not, and nothing has changed.
  std::string change(const std::string& name, DiscoveredPool next);
  Done change_by_hand(const std::string& name, DiscoveredPool next, std::string words);
  std::string save();

  struct Watched {
    config::Discover discover;
    std::unique_ptr<DnsWatch> watch;
  };

  boost::asio::io_context& io_;
  Journal& journal_;
  std::string path_;
  GoOver go_over_;
  std::optional<PoolDocuments> registered_;         // as it was heard last
  nlohmann::json kept_ = nlohmann::json::object();  // of the pools, as it was written down last
  DiscoveredPools pools_;
  std::map<std::string, Watched> watches_;  // by pool, of those that ask the DNS
};

}  // namespace sluice::control
