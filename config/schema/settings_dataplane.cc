// SPDX-License-Identifier: Apache-2.0
//
// The data plane: its workers, its ports and the devices under them, its timers.
#include "config/bounds.h"
#include "config/schema/settings_of.h"

namespace sluice::config {

namespace {

constexpr Range kDescriptors{64, 32768};

Group<Bond> bond_settings() {
  return {
      choice("mode", &Bond::mode,
             "one member at a time, the first that has a link; or all of them, by LACP (IEEE 802.1AX) with the switch"),
      required(texts("members", &Bond::members, device_rule(), kMaxBondMembers, "the devices that DPDK opens")),
  };
}

Group<Port> port_settings() {
  return {
      required(text("name", &Port::name, name_rule(), "what we call the port")),
      required(text("device", &Port::device, device_rule(), "the device DPDK opens, or \"bond\"")),
      choice("faces", &Port::faces, "whom it leads to; one port alone faces both"),
      defaults_to("\"sl-\" and the port's name", text("twin", &Port::twin, interface_rule(),
                                                      "the TAP interface through which the kernel uses the port")),
      integer("vlan", &Port::vlan, {0, 4094}, "VLAN of our frames; 0 = untagged"),
      defaults_to("the device's", integer("mtu", &Port::mtu, {kMinMtu, kMaxMtu, "bytes"},
                                          "the largest IP packet, of the port and of its twin")),
      defaults_to("the driver's, at least 1024",
                  integer("receive_descriptors", &Port::receive_descriptors, kDescriptors,
                          "packets that each receive queue of the device holds")),
      defaults_to("the driver's, at least 1024",
                  integer("transmit_descriptors", &Port::transmit_descriptors, kDescriptors,
                          "packets that each transmit queue of the device holds")),
      boolean("promiscuous", &Port::promiscuous,
              "the device takes in frames to every address; for captures: what is not for us is dropped"),
      choice("flow_control", &Port::flow_control, "pause frames: left as they are, none, heeded, sent, or both"),
      texts("mac_addresses", &Port::mac_addresses, mac_rule(), kMaxExtraMacs,
            "to which frames for us may come, besides the device's own: those of VRRP"),
      optional_group("bond", &Port::bond, bond_settings(),
                     "the devices of which a port with device = \"bond\" is made"),
  };
}

Group<Timers> timer_settings() {
  return {
      integer("handshake", &Timers::handshake, {1, 3600, "s"}, "until an unfinished handshake is forgotten"),
      integer("established", &Timers::established, {1, 604800, "s"},
              "until an idle established flow is forgotten; SMTP is silent for up to 10 minutes, so below 660 only "
              "with `force`"),
      integer("closing", &Timers::closing, {1, 3600, "s"}, "until a flow with a FIN is forgotten"),
      integer("after_reset", &Timers::after_reset, {1, 3600, "s"}, "until a flow with an RST is forgotten"),
      boolean("force", &Timers::force, "take an `established` below 660 s, which cuts sessions that are well"),
  };
}

}  // namespace

Group<Dataplane> dataplane_settings() {
  return {
      integer("workers", &Dataplane::workers, {1, kMaxWorkers}, "polling lcores"),
      defaults_to("all but the first", text("lcores", &Dataplane::lcores, lcores_rule(), "which cores workers take")),
      choice("idle", &Dataplane::idle, "what a worker does when nothing arrives"),
      integer("flow_capacity", &Dataplane::flow_capacity, {1024, 67108864}, "flows per worker"),
      choice("on_table_full", &Dataplane::on_table_full,
             "what becomes of new connections while flow_capacity is taken: forwarded without an entry where that can "
             "be (else reset), reset, or dropped; dsr and tunnels forward without an entry in any case"),
      choice("on_idle_expiry", &Dataplane::on_idle_expiry,
             "what both ends hear when an established flow's idle time is up"),
      choice("strangers", &Dataplane::strangers,
             "what becomes of packets to a VIP that are for no service, and of those that are neither for us nor for a "
             "mail server: dropped, or some of them left to the kernel"),
      choice(
          "server_routing", &Dataplane::server_routing,
          "who passes on what mail servers say and hear for themselves, where the kernel forwards: the workers unless "
          "it has policy rules or a firewall on the way; the workers whatever it has; or the kernel, through the "
          "twins"),
      integer("echo_per_second", &Dataplane::echo_per_second, {0, 1000000},
              "echo requests to VIPs that are answered, of each worker and port"),
      integer("burst", &Dataplane::burst, {1, kMaxBurst}, "packets a worker takes at a time"),
      integer("memory_mb", &Dataplane::memory_mb, {64, 1048576, "MB"}, "memory DPDK takes at start"),
      boolean("hugepages", &Dataplane::hugepages, "false: ordinary pages, for small labs"),
      text("flow_store", &Dataplane::flow_store, store_rule(),
           "directory where flow memory outlives the process; \"auto\" = a hugetlbfs mount if there is one with room "
           "and "
           "`hugepages` is true, else /dev/shm, else nowhere; \"\" = do not keep"),
      list("ports", &Dataplane::ports, port_settings(), kMaxPorts, "devices and their kernel twins"),
      group("timers", &Dataplane::timers, timer_settings(), "idle time after which flows are forgotten"),
  };
}

}  // namespace sluice::config
