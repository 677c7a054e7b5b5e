// SPDX-License-Identifier: Apache-2.0
//
// Clients and mail servers made up by the million on either side of a balancer. See perf/README.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "config/model.h"
#include "dataplane/base/log.h"
#include "dataplane/base/setup_error.h"
#include "perf/blast/report.h"
#include "perf/blast/search.h"
#include "perf/blast/wiring.h"

namespace sluice::blast {
namespace {

volatile std::sig_atomic_t stop_wanted = 0;

void on_signal(int) {
  stop_wanted = 1;
}

nlohmann::json search(Generator& generator, const Options& options) {
  nlohmann::json trials = nlohmann::json::array();
  const double rate = highest_rate({options.lowest, options.highest, options.resolution}, [&](double wanted) {
    if (stop_wanted != 0) return false;
    const Trial trial = generator.trial(wanted);
    const bool good = trial.is_clean() && trial.is_full();
    fmt::print("{:.0f} sessions/s: {}\n{}", wanted, good ? "clean" : "not clean", to_text(trial));
    std::fflush(stdout);
    trials.push_back(to_json(trial));
    return good;
  });
  fmt::print("highest rate without loss: {:.0f} sessions/s\n", rate);
  return {{"highest_clean_rate", rate}, {"trials", trials}};
}

nlohmann::json run_trial(Generator& generator, const Options& options) {
  const Trial trial = generator.trial(options.rate);
  fmt::print("{}", to_text(trial));
  return {{"trials", {to_json(trial)}}};
}

int run(const Options& options, const std::string& json_file) {
  Wiring wiring(options);
  Generator generator(wiring.front(), wiring.back(), options, stop_wanted);
  if (const std::string error = generator.prepare(); !error.empty()) {
    fmt::print(stderr, "blast: {}\n", error);
    return 1;
  }
  nlohmann::json held{{"wanted", options.held}};
  held["opened"] = generator.hold();
  nlohmann::json report = options.mode == Mode::kSearch ? search(generator, options) : run_trial(generator, options);
  bool lost = false;
  if (options.held != 0) {
    const ClientFigures figures = generator.release();
    held["completed"] = figures.completed;
    lost = figures.completed != options.held;
    fmt::print("held sessions: {} opened, {} completed at the end\n", held["opened"].get<uint32_t>(),
               figures.completed);
  }
  report["held"] = held;
  if (json_file == "-") {
    fmt::print("{}\n", report.dump(2));
  } else if (!json_file.empty()) {
    std::ofstream(json_file) << report.dump(2) << "\n";
  }
  const bool any = !report["trials"].empty() && report["trials"].back()["sessions"]["completed"].get<uint64_t>() != 0;
  return any && !lost ? 0 : 1;
}

Address to_address(const config::IpAddress& address) {
  return Address{address.bytes};
}

/// What CLI11 leaves to be checked: addresses, and what contradicts itself. Returns an error's text, or "".
std::string complete(Options& options, const std::string& vip, const std::string& first_client, uint16_t port) {
  const auto vip_address = config::IpAddress::parse(vip);
  if (!vip_address) return fmt::format("--vip: \"{}\" is neither an IPv4 nor an IPv6 address", vip);
  const std::string first = !first_client.empty() ? first_client : vip_address->is_v4() ? "198.18.0.1" : "2001:2::1";
  const auto client_address = config::IpAddress::parse(first);
  if (!client_address) return fmt::format("--clients-from: \"{}\" is neither an IPv4 nor an IPv6 address", first);
  if (client_address->is_v4() != vip_address->is_v4()) return "--clients-from: not of the VIP's family";
  if (options.front.empty() != options.back.empty() && options.front.empty()) return "--back without --front";
  if (options.lowest > options.highest) return "--lowest is above --highest";
  if (options.held + 32 > options.sessions_max) return "--held leaves no room below --sessions-max";
  if (options.sessions_max > options.clients) return "--sessions-max is more than there are --clients";
  options.vip = {to_address(*vip_address), Be16::of(port)};
  options.first_client = to_address(*client_address);
  return "";
}

}  // namespace
}  // namespace sluice::blast

int main(int argc, char** argv) {
  using namespace sluice;
  using namespace sluice::blast;
  Options options;
  std::string vip = "192.0.2.25", first_client, json_file;
  uint16_t port = 25;
  const std::map<std::string, Mode> modes{
      {"sessions", Mode::kSessions}, {"search", Mode::kSearch}, {"syn-flood", Mode::kSynFlood}};
  CLI::App app{"Mail clients and mail servers by the million, on either side of a balancer."};
  app.add_option("--front", options.front, "DPDK device facing the balancer's clients; none: a wire to --back inside");
  app.add_option("--back", options.back, "DPDK device facing its backends; none: the backends are others'");
  app.add_option("--vip", vip, "the service's address")->capture_default_str();
  app.add_option("--port", port, "the service's port")->capture_default_str();
  app.add_option("--mode", options.mode, "sessions | search (highest rate without loss) | syn-flood")
      ->transform(CLI::CheckedTransformer(modes));
  app.add_option("--rate", options.rate, "sessions a second; 0 = as many as may be at once")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--duration", options.duration_s, "seconds of a trial")->check(CLI::PositiveNumber);
  app.add_option("--clients", options.clients, "client endpoints")->check(CLI::Range(100, 1'000'000'000));
  app.add_option("--clients-from", first_client, "first client address (198.18.0.1, 2001:2::1)");
  app.add_option("--sessions-max", options.sessions_max, "sessions at once")->check(CLI::Range(33, 100'000'000));
  app.add_option("--held", options.held, "sessions that are greeted before the trial and go on after it");
  app.add_option("--body-bytes", options.body_bytes, "octets of a message")->check(CLI::Range(32, 1'000'000));
  app.add_option("--flood-rate", options.flood_rate, "SYNs a second; 0 = as many as the device takes");
  app.add_option("--lowest", options.lowest, "search: sessions a second")->check(CLI::PositiveNumber);
  app.add_option("--highest", options.highest, "search: sessions a second")->check(CLI::PositiveNumber);
  app.add_option("--resolution", options.resolution, "search: of the answer, as a part of it")
      ->check(CLI::Range(0.001, 0.5));
  app.add_option("--wait", options.wait_s, "seconds to wait for a first session")->check(CLI::PositiveNumber);
  app.add_option("--cpu", options.cpu, "CPU to run on");
  app.add_option("--memory", options.memory_mb, "MiB for DPDK")->check(CLI::Range(128, 1'000'000));
  app.add_flag("--hugepages", options.hugepages, "use huge pages");
  app.add_flag("--verify", options.verify, "check the checksums of everything that arrives");
  app.add_option("--json", json_file, "write figures there; - for standard output");
  CLI11_PARSE(app, argc, argv);
  if (const std::string error = complete(options, vip, first_client, port); !error.empty()) {
    fmt::print(stderr, "blast: {}\n", error);
    return 2;
  }
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  set_up_log("warn", LogFormat::kText);
  try {
    return run(options, json_file);
  } catch (const std::exception& error) {
    fmt::print(stderr, "blast: {}\n", error.what());
    return 1;
  }
}
