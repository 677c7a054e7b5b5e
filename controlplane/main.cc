// SPDX-License-Identifier: Apache-2.0
//
// sluice-control: reads the configuration, checks the backends, builds the tables and keeps the data plane informed.
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <iostream>

#include "config/check_command.h"
#include "config/load.h"
#include "controlplane/controller.h"
#include "controlplane/instance_lock.h"
#include "controlplane/log.h"

namespace {

constexpr std::chrono::seconds kFarewell{
    8};  // at most, for probes under way to say QUIT: postscreen's greeting takes 6 s

int run(const sluice::config::Config& config, const std::string& path) {
  const auto lock = sluice::control::claim_instance(config.runtime_directory());
  if (!lock) {
    spdlog::critical("{}", lock.error());
    return 1;
  }
  try {
    boost::asio::io_context io(1);
    sluice::control::Controller controller(io, config, path);
    boost::asio::signal_set signals(io, SIGTERM, SIGINT);
    boost::asio::signal_set hang_up(io, SIGHUP);
    signals.async_wait([&](const boost::system::error_code& cancelled, int) {
      if (cancelled) return;
      controller.stop();
      // A second signal ends at once.
      signals.clear();
      hang_up.clear();
      io.stop();
    });
    std::function<void()> wait_for_hang_up = [&] {
      hang_up.async_wait([&](const boost::system::error_code& cancelled, int) {
        if (cancelled) return;
        (void)controller.reload();  // the journal says how it went
        wait_for_hang_up();
      });
    };
    wait_for_hang_up();
    controller.start();
    io.run();
    io.restart();
    const auto deadline = std::chrono::steady_clock::now() + kFarewell;
    while (controller.says_farewell() && io.run_one_until(deadline) != 0) continue;
    return 0;
  } catch (const std::exception& error) {
    spdlog::critical("{}", error.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Sluice's control side: checks the mail servers and tells the data plane where connections go.",
               "sluice-control");
  std::string path;
  bool check = false;
  app.add_option("--config", path, "Configuration file")->required()->type_name("FILE");
  app.add_flag("--check", check, "Check the configuration, print every fault, and exit");
  app.set_version_flag("--version", "sluice-control " SLUICE_VERSION);
  CLI11_PARSE(app, argc, argv);

  const auto config = sluice::config::load(path);
  if (config) {
    if (const std::string fault = sluice::control::table_memory_fault(*config); !fault.empty()) {
      std::fprintf(stderr, "%s: %s\n", path.c_str(), fault.c_str());
      return 1;
    }
  }
  if (check) return sluice::config::check_command(path, std::cout);
  if (!config) {
    for (const auto& fault : config.error()) std::fprintf(stderr, "%s\n", fault.to_string().c_str());
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  sluice::control::set_up_log(config->control.log_level, config->control.log_format);
  return run(*config, std::filesystem::absolute(path).string());
}
