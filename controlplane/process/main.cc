// SPDX-License-Identifier: Apache-2.0
//
// sluice-control: reads the configuration, checks the backends, builds the tables and keeps the data plane informed.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

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
#include <string>

#include "config/check_command.h"
#include "config/load.h"
#include "controlplane/announce/announcer.h"
#include "controlplane/base/instance_lock.h"
#include "controlplane/base/log.h"
#include "controlplane/process/controller.h"
#include "controlplane/process/service_manager.h"
#include "controlplane/process/start_check.h"

namespace {

/// Each probe takes a descriptor: as many as the system lets us have.
void raise_file_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) spdlog::warn("no more than the usual number of files can be open");
}

constexpr std::chrono::seconds kFarewell{
    8};  // at most, for probes under way to say QUIT: postscreen's greeting takes 6 s

int run(const sluice::config::Reading& reading, const std::string& path) {
  const sluice::config::Config& config = reading.config;
  const auto lock = sluice::control::claim_instance(config.runtime_directory());
  if (!lock) {
    spdlog::critical("{}", lock.error());
    return 1;
  }
  try {
    boost::asio::io_context io(1);
    sluice::control::Controller controller(io, config, path);
    sluice::control::ServiceManager service_manager(io);
    boost::asio::signal_set signals(io, SIGTERM, SIGINT);
    boost::asio::signal_set hang_up(io, SIGHUP);
    boost::asio::signal_set moved(io, SIGUSR1);  // the file of session records was
    signals.async_wait([&](const boost::system::error_code& cancelled, int) {
      if (cancelled) return;
      service_manager.stopping();
      controller.stop();
      // A second signal ends at once.
      signals.clear();
      hang_up.clear();
      moved.clear();
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
    std::function<void()> wait_for_moved = [&] {
      moved.async_wait([&](const boost::system::error_code& cancelled, int) {
        if (cancelled) return;
        controller.reopen_records();
        wait_for_moved();
      });
    };
    wait_for_moved();
    controller.start();
    controller.tell_warnings(reading.findings.warnings());
    service_manager.ready();
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

int withdraw(const sluice::config::Config& config) {
  try {
    const auto done = sluice::control::withdraw_all(config);
    if (done) return 0;
    std::fprintf(stderr, "%s\n", done.error().c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  return 1;
}

std::string memory_line(const sluice::config::Config& config) {
  constexpr double kMib = 1 << 20;
  const sluice::control::TableMemory memory = sluice::control::table_memory(config);
  return fmt::format("tables of all services: {:.1f} MiB; allowed: {:.1f} MiB\n",
                     static_cast<double>(memory.bytes) / kMib, static_cast<double>(memory.most) / kMib);
}

int start(int argc, char** argv) {
  CLI::App app("Sluice's control side: checks the mail servers and tells the data plane where connections go.",
               "sluice-control");
  std::string path;
  bool check = false, withdraws = false;
  app.add_option("--config", path, "Configuration file")->required()->type_name("FILE");
  app.add_flag(
      "--check", check,
      "Check the configuration and what it names, print every fault and what is most likely a mistake, and exit");
  app.add_flag("--withdraw", withdraws,
               "Remove every route and address that announces a VIP, and exit: where nothing forwards any more");
  app.set_version_flag("--version", "sluice-control " SLUICE_VERSION);
  CLI11_PARSE(app, argc, argv);

  if (check) {
    std::string memory;
    const auto look_at_start = [&](const auto& config, auto& findings) {
      sluice::control::check_start(config, findings);
      memory = memory_line(config);
    };
    const int result = sluice::config::check_command(path, std::cout, look_at_start);
    if (result == 0) std::cout << memory;
    return result;
  }
  const auto reading = sluice::config::read_config(path);
  if (!reading) {
    for (const auto& fault : reading.error()) std::fprintf(stderr, "%s\n", fault.to_string().c_str());
    return 1;
  }
  const sluice::config::Config& config = reading->config;
  if (withdraws) return withdraw(config);
  if (const std::string fault = sluice::control::table_memory_fault(sluice::control::table_memory(config));
      !fault.empty()) {
    std::fprintf(stderr, "%s: %s\n", path.c_str(), fault.c_str());
    return 1;
  }
  std::signal(SIGPIPE, SIG_IGN);
  sluice::control::set_up_log(config.control.log_level, config.control.log_format);
  raise_file_limit();
  return run(*reading, std::filesystem::absolute(path).string());
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return start(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sluice-control: %s\n", error.what());
    return 1;
  }
}
