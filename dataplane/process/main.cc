// SPDX-License-Identifier: Apache-2.0
//
// sluice-dataplane: reads the configuration, turns its data-plane part into the plain structs of dataplane/, and runs.
#include <rte_ether.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>

#include "config/load.h"
#include "dataplane/base/log.h"
#include "dataplane/base/setup_error.h"
#include "dataplane/process/dataplane.h"

namespace {

sluice::Faces faces_of(sluice::config::Faces faces) {
  switch (faces) {
    case sluice::config::Faces::kClients:
      return sluice::Faces::kClients;
    case sluice::config::Faces::kBackends:
      return sluice::Faces::kBackends;
    case sluice::config::Faces::kBoth:
      return sluice::Faces::kBoth;
  }
  return sluice::Faces::kBoth;
}

sluice::Idle idle_of(sluice::config::Idle idle) {
  switch (idle) {
    case sluice::config::Idle::kPoll:
      return sluice::Idle::kPoll;
    case sluice::config::Idle::kPause:
      return sluice::Idle::kPause;
    case sluice::config::Idle::kSleep:
      return sluice::Idle::kSleep;
  }
  return sluice::Idle::kPoll;
}

sluice::FlowControl flow_control_of(sluice::config::FlowControl wish) {
  switch (wish) {
    case sluice::config::FlowControl::kLeave:
      return sluice::FlowControl::kLeave;
    case sluice::config::FlowControl::kOff:
      return sluice::FlowControl::kOff;
    case sluice::config::FlowControl::kReceive:
      return sluice::FlowControl::kReceive;
    case sluice::config::FlowControl::kSend:
      return sluice::FlowControl::kSend;
    case sluice::config::FlowControl::kBoth:
      return sluice::FlowControl::kBoth;
  }
  return sluice::FlowControl::kLeave;
}

/// Of "00:00:5e:00:01:19", which the configuration has checked.
sluice::MacAddress mac_of(const std::string& text) {
  rte_ether_addr address{};
  rte_ether_unformat_addr(text.c_str(), &address);
  sluice::MacAddress out;
  std::ranges::copy(address.addr_bytes, out.bytes.begin());
  return out;
}

sluice::PortOptions port_of(const sluice::config::Port& port) {
  sluice::PortOptions out{.name = port.name,
                          .device = port.device,
                          .twin = port.twin,
                          .faces = faces_of(port.faces),
                          .vlan = port.vlan,
                          .mtu = port.mtu,
                          .receive_descriptors = port.receive_descriptors,
                          .transmit_descriptors = port.transmit_descriptors,
                          .promiscuous = port.promiscuous,
                          .flow_control = flow_control_of(port.flow_control)};
  for (const std::string& mac : port.mac_addresses) out.extra_macs.push_back(mac_of(mac));
  if (port.bond) {
    out.bond =
        sluice::BondOptions{.lacp = port.bond->mode == sluice::config::BondMode::kLacp, .members = port.bond->members};
  }
  return out;
}

sluice::OnTableFull on_table_full_of(sluice::config::OnTableFull rule) {
  switch (rule) {
    case sluice::config::OnTableFull::kStateless:
      return sluice::OnTableFull::kStateless;
    case sluice::config::OnTableFull::kReset:
      return sluice::OnTableFull::kReset;
    case sluice::config::OnTableFull::kSilence:
      return sluice::OnTableFull::kSilence;
  }
  return sluice::OnTableFull::kStateless;
}

sluice::OnIdleExpiry on_idle_expiry_of(sluice::config::OnIdleExpiry rule) {
  return rule == sluice::config::OnIdleExpiry::kReset ? sluice::OnIdleExpiry::kReset : sluice::OnIdleExpiry::kSilence;
}

sluice::Strangers strangers_of(sluice::config::Strangers rule) {
  return rule == sluice::config::Strangers::kKernel ? sluice::Strangers::kKernel : sluice::Strangers::kDrop;
}

const char* level_of(sluice::config::LogLevel level) {
  switch (level) {
    case sluice::config::LogLevel::kDebug:
      return "debug";
    case sluice::config::LogLevel::kInfo:
      return "info";
    case sluice::config::LogLevel::kWarn:
      return "warn";
    case sluice::config::LogLevel::kError:
      return "error";
  }
  return "info";
}

sluice::DataplaneOptions options_of(const sluice::config::Config& config) {
  const sluice::config::Dataplane& from = config.dataplane;
  sluice::DataplaneOptions options;
  options.instance = config.instance;
  options.runtime_directory = config.runtime_directory();
  options.channel_socket = config.channel_socket();
  options.workers = from.workers;
  options.lcores = from.lcores;
  options.idle = idle_of(from.idle);
  options.flow_capacity = from.flow_capacity;
  options.burst = from.burst;
  options.memory_mb = from.memory_mb;
  options.hugepages = from.hugepages;
  options.flow_store = from.flow_store;
  options.on_table_full = on_table_full_of(from.on_table_full);
  options.on_idle_expiry = on_idle_expiry_of(from.on_idle_expiry);
  options.strangers = strangers_of(from.strangers);
  options.echo_per_second = from.echo_per_second;
  options.timers = {.handshake_ms = from.timers.handshake * 1000,
                    .established_ms = from.timers.established * 1000,
                    .closing_ms = from.timers.closing * 1000,
                    .after_reset_ms = from.timers.after_reset * 1000};
  for (const sluice::config::Port& port : from.ports) options.ports.push_back(port_of(port));
  for (const sluice::config::Service& service : config.services) {
    options.vips.push_back({sluice::Address{service.vip.bytes}, sluice::Be16::of(service.port)});
    options.peers.fullnat |= service.forwarding == sluice::config::Forwarding::kFullnat;
    options.peers.spliced |=
        service.syn_proxy != sluice::config::SynProxy::kOff || service.proxy != sluice::config::Proxy::kNone;
  }
  const sluice::config::Peers& peers = config.fleet.peers;
  const auto endpoint_of = [](const sluice::config::SocketAddress& at) {
    return sluice::Endpoint{sluice::Address{at.address.bytes}, sluice::Be16::of(at.port)};
  };
  options.peers.node = config.fleet.node;
  options.peers.key_file = peers.key_file;
  if (peers.listen) options.peers.listen = endpoint_of(*peers.listen);
  for (const auto& to : peers.to) options.peers.to.push_back(endpoint_of(to));
  return options;
}

/// Command line, configuration, log; then the data plane until a signal ends it. Returns the exit code.
int run(int argc, char** argv) {
  CLI::App app("Sluice's packet side: forwards SMTP connections between clients and mail servers.", "sluice-dataplane");
  std::string path;
  app.add_option("--config", path, "Configuration file")->required()->type_name("FILE");
  app.set_version_flag("--version", "sluice-dataplane " SLUICE_VERSION);
  CLI11_PARSE(app, argc, argv);

  const auto config = sluice::config::load(path);
  if (!config) {
    for (const auto& fault : config.error()) std::fprintf(stderr, "%s\n", fault.to_string().c_str());
    return 1;
  }
  const bool json = config->control.log_format == sluice::config::LogFormat::kJson;
  sluice::set_up_log(level_of(config->control.log_level), json ? sluice::LogFormat::kJson : sluice::LogFormat::kText);
  try {
    return sluice::Dataplane(options_of(*config)).run();
  } catch (const sluice::SetupError& error) {
    spdlog::critical("{}", error.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sluice-dataplane: %s\n", error.what());
    return 1;
  }
}
