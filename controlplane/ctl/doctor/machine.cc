// SPDX-License-Identifier: Apache-2.0
#include "controlplane/ctl/doctor/machine.h"

#include <sys/statvfs.h>
#include <sys/timex.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace sluice::ctl {

namespace fs = std::filesystem;

namespace {

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return out;
}

/// What stands behind "NAME:" on a line of its own.
std::string field(const std::string& text, const std::string& name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with(name + ":")) continue;
    const size_t start = line.find_first_not_of(" \t", name.size() + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

std::string last_part(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

SystemCalls system_calls() {
  return {.clock_is_synchronised =
              [] {
                timex state{};
                return adjtimex(&state) != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
              },
          .free_bytes = [](const std::string& path) -> std::optional<uint64_t> {
            struct statvfs info{};
            if (statvfs(path.c_str(), &info) != 0) return std::nullopt;
            return uint64_t{info.f_bavail} * info.f_frsize;
          },
          .ask_dns = ctl::ask_dns,
          .own_addresses = ctl::own_addresses,
          .probe_addresses = ctl::probe_addresses,
          .probe_syns = ctl::probe_syns};
}

std::optional<std::string> Machine::text(const std::string& path) const {
  std::ifstream file(root_ + path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string out{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) return std::nullopt;
  out.erase(out.find_last_not_of(" \t\n") + 1);
  return out;
}

std::optional<uint64_t> Machine::number(const std::string& path) const {
  const auto found = text(path);
  return found ? number_in<uint64_t>(*found) : std::nullopt;
}

std::vector<unsigned> Machine::cpus(const std::string& path) const {
  return cpus_of(text(path).value_or(""));
}

bool Machine::has(const std::string& path) const {
  std::error_code error;
  return fs::exists(root_ + path, error);
}

std::vector<std::string> Machine::entries(const std::string& directory) const {
  std::vector<std::string> out;
  std::error_code error;
  for (auto entry = fs::directory_iterator(root_ + directory, error); !error && entry != fs::directory_iterator();
       entry.increment(error))
    out.push_back(entry->path().filename());
  std::ranges::sort(out);
  return out;
}

std::string Machine::target(const std::string& link) const {
  std::error_code error;
  const fs::path to = fs::read_symlink(root_ + link, error);
  return error ? "" : last_part(to);
}

std::vector<Process> Machine::processes() const {
  std::vector<Process> out;
  for (const std::string& entry : entries("/proc")) {
    const auto pid = number_in<pid_t>(entry);
    if (!pid) continue;
    std::string command = text("/proc/" + entry + "/cmdline").value_or("");
    if (command.empty()) continue;
    std::string name = last_part(command.substr(0, command.find('\0')));
    std::ranges::replace(command, '\0', ' ');
    command.erase(command.find_last_not_of(' ') + 1);
    const std::string status = text("/proc/" + entry + "/status").value_or("");
    out.push_back({*pid, std::move(name), std::move(command), cpus_of(field(status, "Cpus_allowed_list"))});
  }
  return out;
}

std::vector<unsigned> cpus_of(const std::string& list) {
  std::vector<unsigned> out;
  std::istringstream parts(list);
  for (std::string part; std::getline(parts, part, ',');) {
    const size_t dash = part.find('-');
    const auto first = number_in<unsigned>(part.substr(0, dash));
    const auto last = dash == std::string::npos ? first : number_in<unsigned>(part.substr(dash + 1));
    if (!first || !last || *last > 65535) return {};
    for (unsigned cpu = *first; cpu <= *last; cpu++) out.push_back(cpu);
  }
  return out;
}

}  // namespace sluice::ctl
