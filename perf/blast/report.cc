// SPDX-License-Identifier: Apache-2.0
#include "perf/blast/report.h"

#include <fmt/format.h>

namespace sluice::blast {
namespace {

nlohmann::json to_json(const Histogram& histogram) {
  const auto us = [](uint64_t ns) { return static_cast<double>(ns) / 1000; };
  return {{"count", histogram.count()},
          {"p50_us", us(histogram.quantile(0.5))},
          {"p99_us", us(histogram.quantile(0.99))},
          {"p999_us", us(histogram.quantile(0.999))},
          {"largest_us", us(histogram.largest())}};
}

std::string to_text(const char* name, const Histogram& histogram) {
  const auto us = [](uint64_t ns) { return static_cast<double>(ns) / 1000; };
  return fmt::format("  {:<20} p50 {:>9.1f}   p99 {:>9.1f}   p99.9 {:>9.1f}   largest {:>9.1f} us\n", name,
                     us(histogram.quantile(0.5)), us(histogram.quantile(0.99)), us(histogram.quantile(0.999)),
                     us(histogram.largest()));
}

double per_second(uint64_t n, const Trial& trial) {
  return trial.seconds > 0 ? static_cast<double>(n) / trial.seconds : 0;
}

}  // namespace

nlohmann::json to_json(const Trial& trial) {
  const ClientFigures& client = trial.client;
  return {{"wanted_per_second", trial.rate},
          {"seconds", trial.seconds},
          {"clean", trial.is_clean()},
          {"full", trial.is_full()},
          {"sessions",
           {{"started", client.started},
            {"completed", client.completed},
            {"completed_per_second", per_second(client.completed, trial)},
            {"timed_out", client.timed_out},
            {"reset", client.reset},
            {"refused", client.refused},
            {"unfinished", trial.unfinished},
            {"held_lost", client.held_lost}}},
          {"segments",
           {{"sent_by_clients", client.sent},
            {"received_by_backends", trial.backend.received},
            {"lost_up", trial.lost_up},
            {"sent_by_backends", trial.backend.sent},
            {"received_by_clients", client.received},
            {"lost_down", trial.lost_down},
            {"sent_again", client.resent},
            {"unexpected", client.unexpected},
            {"wrong_checksum", client.wrong_checksum + trial.backend.wrong_checksum},
            {"unsent", trial.unsent},
            {"of_others", trial.backend.others},
            {"per_second", per_second(client.sent + trial.backend.sent, trial)}}},
          {"body_mb_per_second", per_second(client.bytes, trial) / 1e6},
          {"flood_syns", trial.flood_syns},
          {"flood_syns_per_second", per_second(trial.flood_syns, trial)},
          {"handshake", to_json(client.handshake_ns)},
          {"reply", to_json(client.reply_ns)},
          {"session", to_json(client.session_ns)}};
}

std::string to_text(const Trial& trial) {
  const ClientFigures& client = trial.client;
  std::string out =
      fmt::format("{:.1f} s: {} sessions begun, {} completed ({:.0f}/s, {:.2f} MB/s of mail, {:.0f} segments/s)\n",
                  trial.seconds, client.started, client.completed, per_second(client.completed, trial),
                  per_second(client.bytes, trial) / 1e6, per_second(client.sent + trial.backend.sent, trial));
  out += fmt::format("  sessions failed: {} timed out, {} reset, {} refused, {} unfinished\n", client.timed_out,
                     client.reset, client.refused, trial.unfinished);
  out += fmt::format("  segments: {} lost up, {} lost down, {} sent again, {} unexpected, {} wrong, {} not sent\n",
                     trial.lost_up, trial.lost_down, client.resent, client.unexpected,
                     client.wrong_checksum + trial.backend.wrong_checksum, trial.unsent);
  if (trial.flood_syns != 0) {
    out += fmt::format("  flood: {} SYNs, {:.0f}/s\n", trial.flood_syns, per_second(trial.flood_syns, trial));
  }
  out += to_text("handshake", client.handshake_ns) + to_text("command to reply", client.reply_ns) +
         to_text("whole session", client.session_ns);
  if (!trial.is_full()) out += "  the generator did not begin as many sessions as it was told to\n";
  return out;
}

}  // namespace sluice::blast
