// SPDX-License-Identifier: Apache-2.0
//
// What others are told: the network of VIPs, collectors of sessions, the other nodes.
#include "config/bounds.h"
#include "config/schema/settings_of.h"

namespace sluice::config {

namespace {

Group<Peers> peers_settings() {
  return {
      socket_address("listen", &Peers::listen, "where this node hears the others, by UDP"),
      socket_addresses("to", &Peers::to, kMaxPeers,
                       "where the other nodes listen; it is from there that they send, too"),
      text("key_file", &Peers::key_file, file_rule(),
           "the secret that all of them share: 32 bytes or more, readable by its owner and group alone"),
      addresses("addresses", &Peers::addresses, kMaxPeerAddresses,
                "from which the other nodes speak with mail servers by fullnat: their sessions go on from these"),
  };
}

Group<Etcd> etcd_settings() {
  return {
      texts("endpoints", &Etcd::endpoints, endpoint_rule(), kMaxEndpoints, "where its members are asked, by HTTP"),
      text("prefix", &Etcd::prefix, key_prefix_rule(), "of the keys that are ours: one for each fleet"),
      defaults_to("the system's", text("ca_file", &Etcd::ca_file, file_rule(),
                                       "certificates, in PEM form, of those who may vouch for its members")),
      text("cert_file", &Etcd::cert_file, file_rule(), "certificate that this node shows, in PEM form"),
      text("key_file", &Etcd::key_file, file_rule(), "the key of that certificate"),
  };
}

}  // namespace

Group<Announce> announce_settings() {
  return {
      choice(
          "mode", &Announce::mode,
          "how the network learns of VIPs: not by us; by routes in a kernel table of our own, which BIRD or FRR pass "
          "on; or by ARP and neighbour discovery, as they are addresses of the client ports' twins while they are "
          "in service"),
      integer("table", &Announce::table, {1, 4'294'967'295}, "that table; 253 to 255 are the kernel's"),
      integer("protocol", &Announce::protocol, {5, 255},
              "the protocol number by which our routes and addresses are known"),
      integer("metric", &Announce::metric, {1, 4'294'967'295}, "of the route to a VIP in service"),
      integer("draining_metric", &Announce::draining_metric, {1, 4'294'967'295},
              "of the route to a VIP that others should take: while the node drains"),
      seconds("hold_down", &Announce::hold_down, {0, 3600, "s"},
              "a VIP is announced, or withdrawn for its services, when this has lasted"),
      choice("require", &Announce::require, "which of a VIP's services have to be in service"),
      choice(
          "last_node", &Announce::last_node,
          "what becomes of a VIP that lacks them: withdrawn, or kept at draining_metric, so that it is used where no "
          "other node announces it better"),
  };
}

Group<Records> records_settings() {
  return {
      text("to", &Records::to, records_rule(), "where a record of each session goes when it ends"),
      number("share", &Records::share, {0, 1},
             "of the sessions in which nothing went wrong; the others are always recorded"),
      integer("rotate_mb", &Records::rotate_mb, {0, 1048576, "MB"},
              "size at which the file is renamed (PATH.1, PATH.2, ...) and begun anew; 0 = never"),
      integer("keep", &Records::keep, {1, 1000}, "renamed files that are kept"),
  };
}

Group<Fleet> fleet_settings() {
  return {
      defaults_to("the host's name",
                  text("node", &Fleet::node, node_rule(), "what the other nodes' operators see this one called")),
      defaults_to("none: all zones are alike",
                  text("zone", &Fleet::zone, node_rule(), "where this node is: backends of this zone come first")),
      group("peers", &Fleet::peers, peers_settings(),
            "with whom the data plane exchanges what it knows of sessions, so that they outlive their node"),
      optional_group("etcd", &Fleet::etcd, etcd_settings(),
                     "a store that the nodes share: members of pools that register themselves, and what each node is"),
  };
}

}  // namespace sluice::config
