// SPDX-License-Identifier: Apache-2.0
//
// Keeps VIPs as addresses (/32, /128) of the twins of ports that face clients, and tells the stations of their links
// when one is there or a link comes back. Ours are those that bear our protocol number: these go when they are not
// wanted, as after a crash, and are made again when others took them away. A VIP that somebody else has put on a twin
// is never touched, and told as a fault, as it does not come and go with its services.
//
// Kernels before Linux 5.18 keep no protocol: there those are ours that the state directory names. Where addresses of
// ours may be is kept there in any case, so that none is left behind where the configuration has changed meanwhile.
//
// A twin that is not there, or down, gets nothing, and is no fault of ours: it is looked at again when it comes. Runs
// on one io_context; not thread-safe.
#pragma once

#include <boost/asio/io_context.hpp>
#include <compare>
#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/model.h"
#include "controlplane/announce/upkeep.h"
#include "controlplane/base/journal.h"
#include "controlplane/kernel/link_teller.h"
#include "controlplane/kernel/netlink.h"
#include "controlplane/kernel/netlink_socket.h"

namespace sluice::control {

class VipAddresses {
 public:
  /// Which addresses are ours: on that interface, of that number.
  struct Place {
    std::string twin;
    uint8_t protocol = 0;
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  /// Of each VIP, whether it is to be there.
  using Wanted = std::map<config::IpAddress, bool>;

  /// The journal outlives this. Throws std::system_error if the kernel gives no netlink socket.
  VipAddresses(boost::asio::io_context& io, Journal& journal, const std::string& state_directory);

  /// Takes up the places; what an earlier process left there is returned, and stays until the first want().
  std::set<config::IpAddress> start(std::set<Place> places);
  void stop();
  /// After a reload: what lies elsewhere goes.
  void follow(std::set<Place> places);
  /// From now on.
  void want(Wanted vips);
  /// To be called every second: tries again what has been refused.
  void tick() { upkeep_.tick(); }
  /// The port's link has come back: its stations may have forgotten us, or be others.
  void tell_again(const std::string& twin);

  /// What the kernel has refused, or somebody else's address that is in the way, in words; "" = nothing.
  const std::string& fault() const { return upkeep_.fault(); }
  /// Addresses that others had taken away, and that were made again.
  uint64_t remade() const { return upkeep_.remade(); }

 private:
  /// A twin as the kernel has it now.
  struct Twin {
    netlink::Link link;
    std::vector<netlink::InterfaceAddress> addresses;
  };
  struct Kernel {
    std::map<std::string, Twin> twins;  // of our places, former ones too
    bool keeps_protocols = false;
  };
  /// What we have done on a twin; of another one of the same name all is forgotten.
  struct Done {
    int link = 0;
    std::set<config::IpAddress> made;
    std::set<config::IpAddress> told;
  };
  using Made = std::map<Place, std::set<config::IpAddress>>;

  bool concerns_us(const netlink::Message& message) const;
  std::expected<Kernel, std::string> look();
  bool is_ours(const Place& place, const netlink::InterfaceAddress& address, bool keeps_protocols) const;
  /// Before anything is made there.
  void remember();
  std::optional<std::string> settle();
  /// "" or what is wrong, as below.
  std::string settle_former();
  std::string settle(const Place& place, const Kernel& kernel, const Wanted& wanted);
  std::string make(const Place& place, const netlink::Link& link, const std::set<config::IpAddress>& missing,
                   Done& done);
  std::string remove(const Place& place, const netlink::InterfaceAddress& address);
  std::string tell(const Place& place, const netlink::Link& link, Done& done);

  Journal& journal_;
  std::string path_;
  NetlinkSocket queries_;
  LinkTeller teller_;
  std::set<Place> places_;
  std::set<Place> former_;        // to be cleared
  std::optional<Wanted> wanted_;  // nothing: not known yet
  Made remembered_;               // as the file has it
  std::map<Place, Done> done_;
  std::set<int> links_;  // indexes of the twins, when last looked at
  Upkeep upkeep_;
};

}  // namespace sluice::control
